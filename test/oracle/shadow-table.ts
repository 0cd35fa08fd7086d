// Owns one stand-in of a table: made like it in a schema of its own, with the columns that some images have,
// and with the table's owner, grants, row security and policies as the catalogue tells them. Images are put
// into it as rows and read by a real SELECT under role and claims. It knows nothing of the server's SQL.

import { type Client, escapeIdentifier, escapeLiteral, type QueryResult } from 'pg';
import type { OracleTable } from './oracle-table.ts';
import type { RowImage } from './wal-images.ts';

export type Viewer = {
  readonly role: string;
  /** request.jwt.claims as JSON. */
  readonly claims: string;
};

type PolicyRow = {
  name: string;
  permissive: boolean;
  roles: string[];
  expression: string;
};

type ColumnRow = { name: string; type: string; isGenerated: boolean };

const POLICIES = `
  select p.polname as name, p.polpermissive as permissive,
    array(select case r when 0 then 'public' else quote_ident(pg_get_userbyid(r)) end from unnest(p.polroles) as r) as roles,
    pg_get_expr(p.polqual, p.polrelid) as expression
  from pg_policy p where p.polrelid = $1::regclass and p.polcmd in ('r', '*') and p.polqual is not null order by 1`;
const COLUMNS = `
  select attname as name, format_type(atttypid, atttypmod) as type, attgenerated <> '' as "isGenerated" from pg_attribute
  where attrelid = $1::regclass and attnum > 0 and not attisdropped order by attnum`;
const GRANTS = `
  select coalesce(g.name, '') as "column", case a.grantee when 0 then 'public' else quote_ident(pg_get_userbyid(a.grantee)) end as grantee
  from (
    select null as name, coalesce(relacl, acldefault('r', relowner)) as acl from pg_class where oid = $1::regclass
    union all select attname, attacl from pg_attribute where attrelid = $1::regclass and attnum > 0 and not attisdropped and attacl is not null) g,
    aclexplode(g.acl) a where a.privilege_type = 'SELECT'`;
const FLAGS = `select relrowsecurity as enabled, relforcerowsecurity as forced, quote_ident(pg_get_userbyid(relowner)) as owner
  from pg_class where oid = $1::regclass`;

export class ShadowTable {
  /** Names of policies that read what these images lack. */
  readonly unjudged = new Set<string>();
  readonly #client: Client;
  readonly #original: string;
  readonly #sql: string;
  /** What is filled in; generated columns follow. */
  readonly #present: readonly ColumnRow[];
  #rows: readonly string[] = [];
  #images: readonly RowImage[] = [];

  /** Makes the stand-in of a table with the columns `present` in a new schema, inside the open transaction. */
  static async make(
    client: Client,
    { sql: original, name }: Pick<OracleTable, 'sql' | 'name'>,
    schema: string,
    present: ReadonlySet<string>,
  ): Promise<ShadowTable> {
    // Expressions are read and made again with every name qualified; they run under the database's own path.
    await client.query(`set local search_path = ''`);
    const { rows: columns } = await client.query<ColumnRow>(COLUMNS, [original]);
    const shadow = new ShadowTable(
      client,
      original,
      `${schema}.${escapeIdentifier(name)}`,
      columns.filter((column) => present.has(column.name) && !column.isGenerated),
    );
    await client.query(`create schema ${schema}; grant usage on schema ${schema} to public;
      create table ${shadow.#sql} (like ${original} including generated);`);
    for (const column of columns) {
      if (present.has(column.name) || column.isGenerated) continue;
      await client.query(`alter table ${shadow.#sql} drop column ${escapeIdentifier(column.name)} cascade`);
    }
    const { rows: left } = await client.query<ColumnRow>(COLUMNS, [shadow.#sql]);
    await shadow.#secure(new Set(left.map((column) => column.name)), left.length < columns.length);
    await client.query('set local search_path to default');
    return shadow;
  }

  private constructor(client: Client, original: string, sql: string, present: readonly ColumnRow[]) {
    this.#client = client;
    this.#original = original;
    this.#sql = sql;
    this.#present = present;
  }

  /** Fills it with `images`, which all have exactly its columns. */
  async fill(images: readonly RowImage[]): Promise<void> {
    this.#images = images;
    const { rows } = await this.#client.query<{ at: string }>(this.#insertSql(), [this.#texts(images)]);
    this.#rows = rows.map(({ at }) => at);
  }

  /** Which of the images a SELECT of `viewer` with `where` gives; one for which it raises is not given. */
  async visible(viewer: Viewer, where: string): Promise<boolean[]> {
    const query = `select ctid::text as at from ${this.#sql} where ${where}`;
    const answer = await selectAs<{ at: string }>(this.#client, viewer, query).then(
      (rows) => new Set(rows.map(({ at }) => at)),
      () => undefined,
    );
    if (answer !== undefined) return this.#rows.map((at) => answer.has(at));
    return this.#oneByOne(viewer, `select exists (select from ${this.#sql} where ${where})`);
  }

  async #oneByOne({ role, claims }: Viewer, query: string): Promise<boolean[]> {
    const { rows } = await this.#client.query<{ answers: boolean[] }>(
      'select pg_temp.oracle_one_by_one($1, $2, $3, $4, $5, $6) as answers',
      [
        this.#sql,
        this.#insertSql(),
        JSON.parse(this.#texts(this.#images)).map((texts: unknown) => JSON.stringify([texts])),
        role,
        claims,
        query,
      ],
    );
    await this.fill(this.#images);
    return rows[0]?.answers ?? [];
  }

  async #secure(names: ReadonlySet<string>, isIncomplete: boolean): Promise<void> {
    const { rows: grants } = await this.#client.query<{ column: string; grantee: string }>(GRANTS, [this.#original]);
    for (const { column, grantee } of grants) {
      if (column !== '' && !names.has(column)) continue;
      const list = column === '' ? '' : `(${escapeIdentifier(column)})`;
      await this.#client.query(`grant select ${list} on ${this.#sql} to ${grantee}`);
    }
    // The place of a row names the image; a policy cannot read it.
    await this.#client.query(`grant select (ctid) on ${this.#sql} to public`);
    const { rows: policies } = await this.#client.query<PolicyRow>(POLICIES, [this.#original]);
    for (const policy of policies) await this.#createPolicy(policy, isIncomplete);
    const { rows: flags } = await this.#client.query<{ enabled: boolean; forced: boolean; owner: string }>(FLAGS, [
      this.#original,
    ]);
    if (flags[0]?.enabled) await this.#client.query(`alter table ${this.#sql} enable row level security`);
    if (flags[0]?.forced) await this.#client.query(`alter table ${this.#sql} force row level security`);
    await this.#client.query(`alter table ${this.#sql} owner to ${flags[0]?.owner}`);
  }

  // A permissive policy that cannot be judged does not count; a restrictive one denies. The coalesce() keeps the
  // planner from trying an expression on its own to guess how many rows it gives: that raises where claims are
  // malformed, also if an alternative of the policy lets the row through before.
  async #createPolicy({ name, permissive, roles, expression }: PolicyRow, isIncomplete: boolean): Promise<void> {
    const create = (using: string): string =>
      `create policy ${escapeIdentifier(name)} on ${this.#sql} as ${permissive ? 'permissive' : 'restrictive'} for select ` +
      `to ${roles.join(', ')} using (coalesce(${using}, false))`;
    const readsWholeRow = expression.includes('.*');
    const isMade = !(isIncomplete && readsWholeRow) && (await trySql(this.#client, create(expression)));
    if (isMade) return;
    if (!isIncomplete) throw new Error(`policy ${name} of ${this.#original} could not be made again: ${expression}`);
    this.unjudged.add(name);
    if (!permissive) await this.#client.query(create('false'));
  }

  #insertSql(): string {
    const names = this.#present.map(({ name }) => escapeIdentifier(name)).join(', ');
    const values = this.#present.map(({ type }, index) => `(i.texts ->> ${index})::${type}`).join(', ');
    if (this.#present.length === 0) {
      return `insert into ${this.#sql} select from jsonb_array_elements($1::jsonb) returning ctid::text as at`;
    }
    return `insert into ${this.#sql} (${names}) select ${values}
      from jsonb_array_elements($1::jsonb) with ordinality as i (texts, place) order by i.place returning ctid::text as at`;
  }

  #texts(images: readonly RowImage[]): string {
    return JSON.stringify(images.map((image) => this.#present.map(({ name }) => image.get(name) ?? null)));
  }
}

/** Reads one image at a time, each apart from the others. */
export const ONE_BY_ONE = `
  create function pg_temp.oracle_one_by_one(shadow text, filling text, images text[], role text, claims text, query text)
  returns boolean[] language plpgsql as $$
  declare answers boolean[] := '{}'; image text; answer boolean;
  begin
    foreach image in array images loop
      begin
        execute 'delete from ' || shadow;
        execute filling using image;
        perform set_config('role', role, true), set_config('request.jwt.claims', claims, true);
        execute query into answer;
        perform set_config('role', 'none', true);
      exception when others then answer := false;
      end;
      answers := answers || answer;
    end loop;
    execute 'delete from ' || shadow;
    return answers;
  end $$`;

/** Runs a SELECT under role and claims, and takes back everything. Rejects with what it raised. In one round trip. */
export async function selectAs<Row extends object>(
  client: Client,
  { role, claims }: Viewer,
  query: string,
): Promise<Row[]> {
  const settings = `set_config('role', ${escapeLiteral(role)}, true), set_config('request.jwt.claims', ${escapeLiteral(claims)}, true)`;
  try {
    const results = await client.query(`savepoint viewer; select ${settings}; ${query}; rollback to savepoint viewer`);
    return (results as unknown as QueryResult<Row>[])[2]?.rows ?? [];
  } catch (error) {
    await client.query('rollback to savepoint viewer');
    throw error;
  }
}

async function trySql(client: Client, sql: string): Promise<boolean> {
  await client.query('savepoint attempt');
  try {
    await client.query(sql);
    return true;
  } catch {
    await client.query('rollback to savepoint attempt');
    return false;
  }
}

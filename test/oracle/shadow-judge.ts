// Owns the second opinion on who may see what: at a quiet moment it opens a transaction, builds stand-ins of
// tables for the images of a phase, asks them under every viewer, and rolls everything back.

import type { Client } from 'pg';
import type { TestDatabase } from '../rig/postgres.ts';
import { keyOf, type OracleTable } from './oracle-table.ts';
import { ONE_BY_ONE, ShadowTable, selectAs, type Viewer } from './shadow-table.ts';
import type { RowImage } from './wal-images.ts';

/** What the catalogue says of a role and a table. */
export type RoleFacts = {
  /** Columns that it may SELECT; none without USAGE on the schema. */
  readonly columns: ReadonlySet<string>;
  readonly isBound: boolean;
  readonly hasPermissive: boolean;
  /** Policies that apply to it. */
  readonly policies: readonly { readonly name: string; readonly isPermissive: boolean }[];
};

type Filed = {
  readonly shadow: ShadowTable;
  readonly images: RowImage[];
  readonly answers: Map<string, Promise<boolean[]>>;
};

const COLUMNS = `
  select array(select a.attname::text from pg_attribute a where a.attrelid = $2::regclass and a.attnum > 0 and not a.attisdropped
    and has_column_privilege($1, a.attrelid, a.attnum, 'select')) as columns,
    has_schema_privilege($1, c.relnamespace, 'usage') as usage from pg_class c where c.oid = $2::regclass`;
const POLICIES = `
  select polname as name, polpermissive as "isPermissive" from pg_policy
  where polrelid = $2::regclass and polcmd in ('r', '*')
    and (0 = any (polroles) or exists (select from unnest(polroles) r where r <> 0 and pg_has_role($1, r, 'usage')))`;
const DESCRIPTION = `
  select format('%s %s for %s to %s: %s', case when polpermissive then 'permissive' else 'RESTRICTIVE' end, polname, polcmd,
    array(select case r when 0 then 'public' else pg_get_userbyid(r)::text end from unnest(polroles) r), pg_get_expr(polqual, polrelid)) as line
  from pg_policy where polrelid = $1::regclass
  union all select format('row security %s, identity %s, grants %s, %s', relrowsecurity, relreplident, relacl,
    array(select attname || '=' || attacl::text from pg_attribute where attrelid = c.oid and attacl is not null)) from pg_class c where oid = $1::regclass`;

export class ShadowJudge implements AsyncDisposable {
  readonly #client: Client;
  readonly #filed = new Map<string, Filed>();
  readonly #facts = new Map<string, Promise<RoleFacts>>();
  #queue: Promise<unknown> = Promise.resolve();

  /** Opens on a connection of its own; what it sees is what is committed by then. */
  static async open(database: TestDatabase): Promise<ShadowJudge> {
    const client = await database.connect();
    await client.query(`begin; set local timezone = 'UTC'; ${ONE_BY_ONE}`);
    return new ShadowJudge(client);
  }

  private constructor(client: Client) {
    this.#client = client;
  }

  /** Makes stand-ins for all `images` of `table`, by the columns that they have. */
  async file(table: OracleTable, images: readonly RowImage[]): Promise<void> {
    const kinds = Map.groupBy(new Set(images), (image) => shapeOf(table, image));
    for (const [shape, same] of kinds) {
      const present = new Set((same[0] as RowImage).keys());
      const shadow = await ShadowTable.make(this.#client, table, `shadow_${this.#filed.size}`, present);
      await shadow.fill(same);
      this.#filed.set(shape, { shadow, images: same, answers: new Map() });
    }
  }

  /** Whether `viewer` sees a filed image; `where` is SQL. */
  async sees(table: OracleTable, image: RowImage, viewer: Viewer, where: string): Promise<boolean> {
    const filed = this.#filed.get(shapeOf(table, image)) as Filed;
    const key = JSON.stringify([viewer, where]);
    const answer = filed.answers.get(key) ?? this.#inTurn(() => filed.shadow.visible(viewer, where));
    filed.answers.set(key, answer);
    const place = filed.images.indexOf(image);
    if (place < 0) throw new Error('an image was not filed');
    return (await answer)[place] === true;
  }

  /** Names of policies that an image of this shape cannot be asked. */
  unjudged(table: OracleTable, image: RowImage): ReadonlySet<string> {
    return (this.#filed.get(shapeOf(table, image)) as Filed).shadow.unjudged;
  }

  facts(table: OracleTable, role: string): Promise<RoleFacts> {
    const key = JSON.stringify([table.sql, role]);
    const facts = this.#facts.get(key) ?? this.#inTurn(() => this.#readFacts(table, role));
    this.#facts.set(key, facts);
    return facts;
  }

  /** The policies and grants of a table, for whoever reads a violation. */
  describe(table: OracleTable): Promise<string> {
    return this.#inTurn(async () => {
      const { rows } = await this.#client.query<{ line: string }>(DESCRIPTION, [table.sql]);
      return rows.map(({ line }) => `\n      ${line}`).join('');
    });
  }

  /** What a SELECT under role and claims gives of the tables as they are. Rejects where it raises. */
  select(viewer: Viewer, sql: string): Promise<Record<string, unknown>[]> {
    return this.#inTurn(() => selectAs(this.#client, viewer, sql));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#queue.catch(() => undefined);
    await this.#client.query('rollback');
    await this.#client.end();
  }

  async #readFacts(table: OracleTable, role: string): Promise<RoleFacts> {
    const { rows: granted } = await this.#client.query<{ columns: string[]; usage: boolean }>(COLUMNS, [
      role,
      table.sql,
    ]);
    const { rows: policies } = await this.#client.query<RoleFacts['policies'][number]>(POLICIES, [role, table.sql]);
    const [security] = await selectAs<{ active: boolean }>(
      this.#client,
      { role, claims: '{}' },
      `select row_security_active(${await this.#oid(table)}::oid) as active`,
    );
    return {
      columns: new Set(granted[0]?.usage ? granted[0].columns : []),
      isBound: security?.active === true,
      hasPermissive: policies.some(({ isPermissive }) => isPermissive),
      policies,
    };
  }

  async #oid(table: OracleTable): Promise<string> {
    // Looked up by name in the catalogue: a role without USAGE on the schema may not resolve it.
    const { rows } = await this.#client.query<{ oid: string }>(
      `select c.oid from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
        where n.nspname = $1 and c.relname = $2`,
      [table.schema, table.name],
    );
    return rows[0]?.oid ?? '0';
  }

  // One connection: savepoints must not interleave.
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#queue.then(work);
    this.#queue = turn.catch(() => undefined);
    return turn;
  }
}

/** The key of `table` out of an image; null where it is not all there. */
export function keyImage(table: OracleTable, image: RowImage): RowImage | null {
  const entries = keyOf(table).flatMap((name) => (image.has(name) ? [[name, image.get(name) ?? null] as const] : []));
  return entries.length === keyOf(table).length ? new Map(entries) : null;
}

function shapeOf(table: OracleTable, image: RowImage): string {
  return JSON.stringify([table.sql, [...image.keys()].sort()]);
}

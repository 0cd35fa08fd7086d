// Owns what the explanation of a permission reads as the server's own login: the rights of a role on
// realtime.channels and realtime.messages, the policies that apply to it, with every name qualified, and the
// channel row that decides.

import type { Pool, PoolClient } from 'pg';
import { quoteIdentifier } from '../db/quoting.ts';

export type Action = 'subscribe' | 'publish';

export type AppliedPolicy = {
  readonly name: string;
  readonly isPermissive: boolean;
  /** USING of a SELECT; WITH CHECK of an INSERT, or USING where there is none. */
  readonly expression: string;
};

export type RoleRights = {
  readonly oid: number;
  readonly exists: boolean;
  /** SELECT on the channel row, or INSERT of what a publisher gives. */
  readonly isGranted: boolean;
  /** Whether row security binds the role. */
  readonly isBound: boolean;
  readonly policies: readonly AppliedPolicy[];
};

export type PublishChannel = {
  readonly id: string;
  readonly pattern: string;
  readonly isEnabled: boolean;
  readonly persist: boolean;
};

type RightsRow = { oid: number; exists: boolean; granted: boolean; bound: boolean };
type PolicyRow = { name: string; permissive: boolean; expression: string };
type Asked = {
  readonly table: string;
  readonly privilege: string;
  readonly columns: readonly string[];
  readonly command: string;
};

const ASKED: Readonly<Record<Action, Asked>> = {
  subscribe: { table: 'realtime.channels', privilege: 'SELECT', columns: ['id'], command: 'r' },
  publish: {
    table: 'realtime.messages',
    privilege: 'INSERT',
    columns: ['channel_name', 'event_name', 'payload'],
    command: 'a',
  },
};

const RIGHTS = `
  select c.oid, r.oid is not null as exists,
    coalesce(pg_catalog.has_schema_privilege(r.oid, c.relnamespace, 'USAGE')
      and (select bool_and(pg_catalog.has_column_privilege(r.oid, c.oid, k.name, $3)) from unnest($4::text[]) as k (name)),
      false) as granted,
    coalesce(c.relrowsecurity and not (r.rolsuper or r.rolbypassrls)
      and (c.relforcerowsecurity or not pg_catalog.pg_has_role(r.oid, c.relowner, 'USAGE')), true) as bound
  from pg_catalog.pg_class as c left join pg_catalog.pg_roles as r on r.rolname = $2
  where c.oid = $1::text::pg_catalog.regclass`;

// As Postgres takes them: a policy without an expression says nothing.
const APPLIED = `
  select * from (
    select p.polname::text as name, p.polpermissive as permissive, pg_catalog.pg_get_expr(
      case when $3 = 'a' then coalesce(p.polwithcheck, p.polqual) else p.polqual end, p.polrelid) as expression
    from pg_catalog.pg_policy as p join pg_catalog.pg_roles as r on r.rolname = $2
    where p.polrelid = $1::text::pg_catalog.regclass and p.polcmd in ($3::text::"char", '*')
      and (p.polroles = '{0}' or exists (
        select from unnest(p.polroles) as g (oid) where pg_catalog.pg_has_role(r.oid, g.oid, 'USAGE')))) as applied
  where expression is not null
  order by name collate "C"`;

export class PermissionStore {
  readonly #pool: Pool;

  constructor(pool: Pool) {
    this.#pool = pool;
  }

  /** What `role` may do, read in one snapshot. Rejects when the database cannot be asked. */
  async rights(action: Action, role: string): Promise<RoleRights> {
    const { table, privilege, columns, command } = ASKED[action];
    return this.#qualified(async (client) => {
      const rights = await client.query<RightsRow>(RIGHTS, [table, role, privilege, columns]);
      const policies = await client.query<PolicyRow>(APPLIED, [table, role, command]);
      const { oid, exists, granted, bound } = rights.rows[0] as RightsRow;
      return { oid, exists, isGranted: granted, isBound: bound, policies: policies.rows.map(appliedOf) };
    });
  }

  /** The row that decides about publishing to a name, its settings filled in; undefined if none matches. */
  async publishChannel(name: string): Promise<PublishChannel | undefined> {
    const { rows } = await this.#pool.query<PublishChannel>(
      `select channel_id as id, pattern, enabled as "isEnabled", persist from realtime.deciding_channel($1)`,
      [name],
    );
    return rows[0];
  }

  /** The exact texts of a channel row, in the order of `columns`; undefined where it is gone. */
  async channelRow(id: string, columns: readonly string[]): Promise<readonly (string | null)[] | undefined> {
    const texts = columns.map((name) => `(c.${quoteIdentifier(name)})::text`).join(', ');
    const { rows } = await this.#pool.query<{ texts: (string | null)[] }>(
      `select array[${texts}] as texts from realtime.channels as c where c.id = $1`,
      [id],
    );
    return rows[0]?.texts;
  }

  // Expressions are printed with qualified names only under an empty search path.
  async #qualified<T>(work: (client: PoolClient) => Promise<T>): Promise<T> {
    const client = await this.#pool.connect();
    let failure: Error | undefined;
    try {
      await client.query(`begin isolation level repeatable read read only; set local search_path = ''`);
      const result = await work(client);
      await client.query('commit');
      return result;
    } catch (error) {
      failure = error as Error;
      throw error;
    } finally {
      client.release(failure !== undefined);
    }
  }
}

function appliedOf({ name, permissive, expression }: PolicyRow): AppliedPolicy {
  return { name, isPermissive: permissive, expression };
}

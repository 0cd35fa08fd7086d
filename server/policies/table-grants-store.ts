// Owns the SQL of table grants: which of the allowed roles may SELECT a whole table that has no row security
// in force for them. Roles come from the allow-list and are looked up, never taken from a token.

import type { Pool } from 'pg';

export type TableGrants = {
  readonly roles: readonly string[];
  /** The snapshot of the answer: ids at or above `xmax`, or in progress, are not contained in it. */
  readonly xmax: bigint;
  readonly inProgress: ReadonlySet<bigint>;
};

type Row = { roles: string[]; xmax: string; in_progress: string[] };

const GRANTS = `
  select
    array(
      select r.rolname::text from pg_catalog.pg_roles as r
      where r.rolname = any($2::text[])
        and pg_catalog.has_schema_privilege(r.oid, c.relnamespace, 'USAGE')
        and pg_catalog.has_table_privilege(r.oid, c.oid, 'SELECT')
        and (not c.relrowsecurity or r.rolbypassrls
          or (not c.relforcerowsecurity and pg_catalog.pg_has_role(r.oid, c.relowner, 'USAGE')))
    ) as roles,
    pg_catalog.pg_snapshot_xmax(s.snapshot)::text as xmax,
    array(select x::text from pg_catalog.pg_snapshot_xip(s.snapshot) as x) as in_progress
  from (select pg_catalog.pg_current_snapshot() as snapshot) as s
  left join pg_catalog.pg_class as c on c.oid = $1`;

export class TableGrantsStore {
  readonly #pool: Pool;
  readonly #roles: readonly string[];

  /** `roles` is the allow-list (ROWCAST_ROLES). */
  constructor(pool: Pool, roles: readonly string[]) {
    this.#pool = pool;
    this.#roles = roles;
  }

  /** Reads the grants of a table in one snapshot; a table that is gone has none. */
  async read(oid: number): Promise<TableGrants> {
    const { rows } = await this.#pool.query<Row>(GRANTS, [oid, this.#roles]);
    const row = rows[0] as Row;
    return { roles: row.roles, xmax: BigInt(row.xmax), inProgress: new Set(row.in_progress.map(BigInt)) };
  }
}

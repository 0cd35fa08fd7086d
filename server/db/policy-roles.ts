// Owns the question which roles of tokens a login can take, which of them it must not, and the statement that
// gives it one. Used where the policy login is settled, and by the doctor.

import type pg from 'pg';

/** A role of ROWCAST_ROLES that exists, as a given login sees it. */
export type PolicyRole = {
  readonly name: string;
  /** Superuser or BYPASSRLS: never taken, decided from the catalogue. */
  readonly seesAll: boolean;
  /** A role beyond row security that can be reached through this one; taking it would open that. */
  readonly leadsTo: string | null;
  /** Whether the login can `set role` to it. */
  readonly isTaken: boolean;
  /** Gives the role to the login, for `set role` alone. */
  readonly grant: string;
};

type Queryable = Pick<pg.ClientBase, 'query'>;

/** Where membership alone says whether `set role` works, and where that is an option of it (16). */
export const MAY_SET = `case when current_setting('server_version_num')::int >= 160000 then 'SET' else 'MEMBER' end`;

const QUESTION = `
  select r.rolname::text as name, r.rolsuper or r.rolbypassrls as "seesAll",
    (select min(b.rolname::text) from pg_catalog.pg_roles b
     where (b.rolsuper or b.rolbypassrls
            or b.oid in (select c.relowner from pg_catalog.pg_class c where c.relnamespace = to_regnamespace('realtime')))
       and pg_has_role(r.oid, b.oid, 'MEMBER')) as "leadsTo",
    pg_has_role(l.oid, r.oid, ${MAY_SET}) as "isTaken",
    format('grant %I to %I', r.rolname, l.rolname)
      || case when current_setting('server_version_num')::int >= 160000 then ' with inherit false, set true' else '' end as grant
  from pg_catalog.pg_roles r cross join pg_catalog.pg_roles l
  where r.rolname = any ($1) and l.rolname = $2
  order by r.rolname collate "C"`;

/** Those of `roles` that exist, by name; empty if `login` does not exist. */
export async function readPolicyRoles(
  client: Queryable,
  login: string,
  roles: readonly string[],
): Promise<readonly PolicyRole[]> {
  const { rows } = await client.query<PolicyRole>(QUESTION, [roles, login]);
  return rows;
}

/** Whether the policy login should have the role. */
export function isToBeTaken({ seesAll, leadsTo }: PolicyRole): boolean {
  return !seesAll && leadsTo === null;
}

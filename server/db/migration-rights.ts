// Owns the question whether a login may set Rowcast up at all, asked before anything is written, so that the
// answer is the statement to run instead of an error in the middle.

import type pg from 'pg';

export type RightsRefusal = { readonly ok: false; readonly reason: 'rights' | 'standby'; readonly message: string };

const QUESTION = `
  select pg_is_in_recovery() as is_standby, current_user as login, current_database() as database,
    quote_ident(current_user) as quoted_login, quote_ident(current_database()) as quoted_database,
    has_database_privilege(current_database(), 'create') as may_create,
    to_regnamespace('realtime') is not null as has_schema,
    coalesce(has_schema_privilege(to_regnamespace('realtime'), 'create'), true) as may_use_schema,
    coalesce((select pg_has_role(c.relowner, 'usage') from pg_catalog.pg_class c where c.oid = to_regclass('realtime.migrations')), true) as is_owner,
    coalesce((select r.rolname from pg_catalog.pg_class c join pg_catalog.pg_roles r on r.oid = c.relowner
              where c.oid = to_regclass('realtime.migrations')), '') as owner,
    (select count(*) = 3 from pg_catalog.pg_publication p where p.pubname::text in ($1, $1 || '_inserts', $1 || '_messages')) as has_publications`;

/** The right that the login lacks to migrate; undefined if it has all of them. */
export async function forbiddenBy(
  client: pg.ClientBase,
  publicationPrefix: string,
): Promise<RightsRefusal | undefined> {
  const { rows } = await client.query(QUESTION, [publicationPrefix]);
  const state = rows[0];
  const refuse = (message: string): RightsRefusal => ({ ok: false, reason: 'rights', message });
  if (state.is_standby) {
    return { ok: false, reason: 'standby', message: 'the database is a standby: DATABASE_URL must name its primary' };
  }
  if (!state.is_owner)
    return refuse(`schema realtime was set up by ${state.owner}: log in as that role, or as a member of it`);
  if (!state.may_create && !(state.has_schema && state.has_publications)) {
    return refuse(
      `${state.login} may not create a schema and publications here; run as a superuser or the database's owner: ` +
        `grant create on database ${state.quoted_database} to ${state.quoted_login};`,
    );
  }
  if (!state.may_use_schema) {
    return refuse(
      `${state.login} may not create tables in schema realtime; run as its owner: ` +
        `grant create, usage on schema realtime to ${state.quoted_login};`,
    );
  }
  return undefined;
}

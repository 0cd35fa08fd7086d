// The net effect of all migrations, in one file for reviews: sql/schema.snapshot.sql. Never edited; made anew
// by `npx vitest run test/sql/schema-snapshot.test.ts -u`.

import { afterAll, beforeAll, expect, it } from 'vitest';
import { type MigratedDatabase, migratedDatabase } from '../db/migrated.ts';
import { describeEachPostgres } from '../rig/postgres.ts';

const HEADER = '-- Generated from a migrated database, for reviews; never run, never edited.\n';

// One row a line, in an order that does not depend on oids or versions.
const LINES = `
  select line from (
  select 1 as part, c.relname::text as object, lpad(a.attnum::text, 3) as place,
    format('column %s.%s %s%s%s', c.relname, a.attname, format_type(a.atttypid, a.atttypmod),
      case when a.attnotnull then ' not null' else '' end,
      case when a.attgenerated <> '' then ' generated as ' || pg_get_expr(d.adbin, d.adrelid)
           when a.attidentity <> '' then ' identity'
           when d.adbin is not null then ' default ' || pg_get_expr(d.adbin, d.adrelid) else '' end) as line
  from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
  where c.relnamespace = 'realtime'::regnamespace and c.relkind in ('r', 'p', 'v') and not c.relispartition
  union all
  select 2, conrelid::regclass::text, conname::text, format('constraint %s.%s %s', conrelid::regclass, conname, pg_get_constraintdef(oid))
  from pg_constraint where connamespace = 'realtime'::regnamespace and contype <> 'n' and conparentid = 0
    and conrelid in (select oid from pg_class where not relispartition)
  union all
  select 3, indrelid::regclass::text, indexrelid::regclass::text, pg_get_indexdef(indexrelid)
  from pg_index i join pg_class c on c.oid = i.indexrelid
  where c.relnamespace = 'realtime'::regnamespace and not c.relispartition
  union all
  select 4, polrelid::regclass::text, polname::text, format('policy %s on %s for %s %s using (%s) with check (%s)', polname, polrelid::regclass,
    polcmd, case when polpermissive then 'permissive' else 'restrictive' end, pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid))
  from pg_policy p join pg_class c on c.oid = p.polrelid and c.relnamespace = 'realtime'::regnamespace
  union all
  select 5, tgrelid::regclass::text, tgname::text, pg_get_triggerdef(t.oid)
  from pg_trigger t join pg_class c on c.oid = t.tgrelid and c.relnamespace = 'realtime'::regnamespace
  where not tgisinternal and tgparentid = 0
  union all
  select 6, proname::text, pg_get_function_identity_arguments(oid), format('function %s(%s) returns %s %s%s%s', proname,
    pg_get_function_identity_arguments(oid), pg_get_function_result(oid),
    case provolatile when 'i' then 'immutable' when 's' then 'stable' else 'volatile' end,
    case when prosecdef then ' security definer' else '' end, coalesce(' set ' || array_to_string(proconfig, ', '), ''))
  from pg_proc where pronamespace = 'realtime'::regnamespace
  union all
  select 7, c.relname::text, g.grantee || g.rights, format('grant %s on %s to %s', g.rights, c.relname, g.grantee)
  from pg_class c cross join lateral (
    select case acl.grantee when 0 then 'public' else acl.grantee::regrole::text end as grantee,
           string_agg(lower(acl.privilege_type), ', ' order by acl.privilege_type) as rights
    from aclexplode(c.relacl) acl where acl.grantee <> c.relowner group by 1) g
  where c.relnamespace = 'realtime'::regnamespace
  union all
  select 8, c.relname::text, g.grantee || g.rights, format('grant %s (%s) on %s to %s', g.rights, g.columns, c.relname, g.grantee)
  from pg_class c cross join lateral (
    select acl.grantee::regrole::text as grantee, lower(acl.privilege_type) as rights, string_agg(a.attname, ', ' order by a.attname) as columns
    from pg_attribute a cross join lateral aclexplode(a.attacl) acl where a.attrelid = c.oid group by 1, 2) g
  where c.relnamespace = 'realtime'::regnamespace
  union all
  select 9, proname::text, pg_get_function_identity_arguments(oid), format('closed to public: function %s(%s)', proname, pg_get_function_identity_arguments(oid))
  from pg_proc where pronamespace = 'realtime'::regnamespace and not has_function_privilege('public', oid, 'execute')
  ) all_lines order by part, object collate "C", place collate "C"`;

describeEachPostgres('the schema', (postgres) => {
  let host: MigratedDatabase;
  beforeAll(async () => {
    host = await migratedDatabase(postgres);
  });
  afterAll(() => host.close());

  it('is what sql/schema.snapshot.sql says', async () => {
    const lines = (await host.sql<{ line: string }>(LINES)).map(({ line }) => line.replaceAll(/\s+/g, ' '));
    await expect(`${HEADER}${lines.join('\n')}\n`).toMatchFileSnapshot('../../sql/schema.snapshot.sql');
  });
});

// Owns bugs that are planted in the database of a case, by changing the text of the server's own functions
// there: so a test shows that the oracle sees them, and the product has no switch for it.

import { escapeIdentifier, escapeLiteral } from 'pg';
import { keyOf, type OracleTable } from './oracle-table.ts';

export type PlantedBug = {
  readonly what: string;
  /** A policy that the bug matters to, and the bug. */
  readonly sql: (tables: readonly OracleTable[]) => string;
};

export const PLANTED_BUGS: readonly PlantedBug[] = [
  {
    what: 'a check of the live row instead of the image',
    sql: (tables) => {
      const table = tables[0] as OracleTable;
      const keys = keyOf(table).map((name) => `${escapeIdentifier(name)} is not null`);
      const policy = onlyPolicy(table, `${columnOf(table, 'open')} is true and ${keys.join(' and ')}`);
      const chosen = 'statements[entry_statements[entry]]';
      return `${policy} ${liveStatement(table)} ${plant('judge_rows', `statement := ${chosen};`, `statement := public.live(${chosen});`)}`;
    },
  },
  {
    what: 'claims that are not set anew for each identity',
    sql: (tables) => {
      const table = tables[0] as OracleTable;
      const policy = onlyPolicy(table, `${columnOf(table, 'owner')}::text = (auth.jwt() ->> 'sub')`);
      return `${policy} ${plant('judge_rows', 'identity_claims[judged_as]', 'identity_claims[greatest(judged_as - 1, 1)]')}`;
    },
  },
  {
    what: 'a missing column that is read as null',
    sql: (tables) => {
      const table = tables[1] as OracleTable;
      return `${onlyPolicy(table, `${columnOf(table, 'open')} is not true`)} ${MISSING_AS_NULL}`;
    },
  },
];

function columnOf({ columns }: OracleTable, kind: string): string {
  return escapeIdentifier(columns.find((column) => column.kind === kind && !column.isKey)?.name ?? '');
}

function onlyPolicy({ sql }: OracleTable, condition: string): string {
  return `
    do $$ declare name text; begin
      for name in select polname from pg_policy where polrelid = ${escapeLiteral(sql)}::regclass loop
        execute format('drop policy %I on %s', name, ${escapeLiteral(sql)});
      end loop;
    end $$;
    grant select on ${sql} to public; alter table ${sql} enable row level security;
    create policy planted on ${sql} for select to public using (${condition});`;
}

/** Replaces a piece of a function of schema realtime; raises where it is not there. */
function plant(name: string, find: string, replacement: string): string {
  return `
    do $plant$ declare text_before constant text := pg_get_functiondef('realtime.${name}'::regproc); begin
      if position(${escapeLiteral(find)} in text_before) = 0 then raise 'realtime.${name} does not hold: %', ${escapeLiteral(find)}; end if;
      execute replace(text_before, ${escapeLiteral(find)}, ${escapeLiteral(replacement)});
    end $plant$;`;
}

// The condition is asked of the row that the table holds by now under the key of the image.
function liveStatement({ name, sql, columns }: OracleTable): string {
  const keys = columns.filter(({ isKey }) => isKey).map((column) => escapeIdentifier(column.name));
  const [table, shape] = [escapeIdentifier(name), `coalesce\\(\\((.*)\\), false\\) from \\(select`];
  const same = keys.map((key) => `l.${key} = ${table}.${key}`).join(' and ');
  const known = keys.map((key) => `position(${escapeLiteral(`as ${key}`)} in statement) > 0`).join(' and ');
  const live = `coalesce((select (\\1) from (select l.* from ${sql} as l where ${same}) as ${table}), false) from (select`;
  return `
    create function public.live(statement text) returns text language sql immutable as $live$
      select case when position(${escapeLiteral(`) as ${table})`)} in statement) > 0 and ${known}
        then regexp_replace(statement, ${escapeLiteral(shape)}, ${escapeLiteral(live)}) else statement end $live$;`;
}

// Every column that is no key is said to be generated out of nothing, as null.
const MISSING_AS_NULL = `
  create function realtime.columns_or_null(relid oid) returns jsonb language sql stable set search_path = '' as $$
    select jsonb_agg(case when (c.rule ->> 'isPrimaryKey')::boolean then c.rule else c.rule || jsonb_build_object(
      'generated', jsonb_build_object('expression', 'null::' || (c.rule ->> 'type'), 'columns', '[]'::jsonb)) end order by c.place)
    from jsonb_array_elements(realtime.column_rules(relid)) with ordinality as c (rule, place) $$;
  ${plant('table_rules', 'realtime.column_rules(c.oid)', 'realtime.columns_or_null(c.oid)')}`;

// Owns what is read for a snapshot: of the rows that the subscriber may see and wants, the columns that the stream would
// send, under the names that the stream has for them. Who is never SET in the database (admins, BYPASSRLS) is read for by
// the server's own login, without row security and with no more columns than are granted.

import type { Pool } from 'pg';
import type { Identity } from '../auth/identity.ts';
import type { TypeResolver } from '../changes/type-resolver.ts';
import { quoteIdentifier } from '../db/quoting.ts';
import type { Subscription } from '../hub/subscription.ts';
import type { SnapshotStatement } from '../messages/snapshot-reader.ts';
import type { TableFilter } from '../policies/row-filter.ts';
import { mayFilterBy } from '../policies/table-filter.ts';
import { type ColumnRule, mayRead, type TableRules } from '../policies/table-rules.ts';
import { whereSql } from '../policies/where-sql.ts';
import { parseChannelName } from '../protocol/channel-name.ts';
import { BUILT_IN_TYPES, type ValueType } from '../protocol/value-type.ts';
import { filterOf } from './viewers.ts';

/** What the catalogue says of how the stream carries a table. */
export type CarriedTable = {
  readonly oid: number;
  readonly isPartitioned: boolean;
  /** Names of the columns that are published; null where the table is not. */
  readonly published: readonly string[] | null;
};

export type SnapshotQuestion = {
  readonly rules: TableRules;
  readonly table: CarriedTable;
  readonly identity: Identity;
  readonly filter: TableFilter | null;
  readonly types: TypeResolver;
  /** A row whose JSON is larger is sent with its key alone. */
  readonly maxRowBytes: number;
};

export type SnapshotPlannerDeps = {
  /** Of the server's own login. */
  readonly pool: Pool;
  readonly rules: { read(oids: readonly number[]): Promise<ReadonlyMap<number, TableRules>> };
  readonly types: TypeResolver;
  readonly maxRowBytes: number;
};

// Before 18 generated columns are never published, although the view names them.
const CARRIED = `
  select c.oid, c.relkind = 'p' as "isPartitioned",
    (select array_agg(distinct a.attname::text)
     from pg_catalog.pg_publication_tables p join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attname = any (p.attnames)
     where p.pubname in (select realtime.carriers(c.oid)) and (p.schemaname, p.tablename) = (n.nspname, c.relname)
       and (a.attgenerated = '' or current_setting('server_version_num')::int >= 180000)) as published
  from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  where (n.nspname, c.relname) = ($1, $2)`;

/** Types whose text depends on the time zone: timestamptz, its ranges, and arrays of them. Those of users may as well. */
const ZONED_TYPES: ReadonlySet<number> = new Set([1184, 1185, 3910, 3911]);
/** Types that know their length without being read: text, varchar, char(n), bytea. */
const MEASURED_TYPES: ReadonlySet<number> = new Set([25, 1043, 1042, 17]);
/** Types of a few bytes; numbers, times, uuid and the like. */
const SMALL_TYPES: ReadonlySet<number> = new Set([
  16, 18, 19, 20, 21, 23, 26, 28, 600, 650, 700, 701, 790, 829, 869, 1082, 1083, 1114, 1184, 1186, 1266, 1700, 2950,
  3220,
]);
/** A value so many times larger than a message is not read at all; short of that its JSON tells. */
const HOPELESS_FACTOR = 8;

/** What plans snapshots: undefined where the table is gone, or the subscriber may read nothing of it. */
export function snapshotPlanner({ pool, rules, types, maxRowBytes }: SnapshotPlannerDeps) {
  return async ({ channel, group }: Subscription): Promise<SnapshotStatement | undefined> => {
    const parsed = parseChannelName(channel);
    if (!parsed.ok || parsed.channel.kind !== 'table') return undefined;
    const { schema, table: name } = parsed.channel.table;
    const [table] = (await pool.query<CarriedTable>(CARRIED, [schema, name])).rows;
    const known = table && (await rules.read([table.oid])).get(table.oid);
    if (table === undefined || known === undefined) return undefined;
    const { identity } = group.spec;
    return snapshotStatement({ rules: known, table, identity, filter: filterOf(group), types, maxRowBytes });
  };
}

/** The statement; undefined where nothing of the table may be read, or filtered by what the filter names. */
export async function snapshotStatement(question: SnapshotQuestion): Promise<SnapshotStatement | undefined> {
  const { rules, table, identity, filter, types, maxRowBytes } = question;
  const columns = mayFilterBy(identity, rules, filter) ? sentColumns(question) : [];
  if (columns.length === 0) return undefined;
  const resolved = await types.resolve(columns.map(({ typeOid }) => typeOid));
  const isTaken = !identity.isAdmin && rules.roles.get(identity.role)?.isTakeable === true;
  const limit = maxRowBytes * HOPELESS_FACTOR;
  const sizes = columns.flatMap((column) => sizeSql(column) ?? []);
  const isCut = sizes.length === 0 ? 'false' : `coalesce(greatest(${sizes.join(', ')}) > ${limit}, false)`;
  const values = columns.map((column) => valueSql(column, isTaken, limit));
  const where = filter?.where == null ? '' : ` where ${whereSql(filter.where, rules)}`;
  const key = [...rules.columns.values()].filter(({ isIdentity }) => isIdentity);
  return {
    text: `select ${[isCut, ...values].join(', ')} from ${relationSql(rules, table)}${where}`,
    columns: columns.map(({ name }, index) => ({ name, type: resolved[index] as ValueType })),
    key: key.every((column) => columns.includes(column)) ? key.map(({ name }) => name) : [],
    as: isTaken ? { role: identity.role, claims: identity.claims } : null,
  };
}

/** As the stream sends them: published, granted, and wanted or of the key. */
function sentColumns({ rules, table, identity, filter }: SnapshotQuestion): readonly ColumnRule[] {
  const role = identity.isAdmin ? undefined : rules.roles.get(identity.role);
  if (!identity.isAdmin && !mayRead(role)) return [];
  const granted = role?.columns ?? null;
  const wanted = filter?.columns ?? null;
  return [...rules.columns.values()].filter(({ name, generated, isIdentity }) => {
    const isWanted = wanted === null || wanted.has(name) || isIdentity;
    const isPublished = table.published === null ? generated === null : table.published.includes(name);
    return isWanted && isPublished && (granted === null || granted.has(name));
  });
}

// Children of a table that is no partitioned one arrive under their own name.
function relationSql({ schema, name }: TableRules, { isPartitioned }: CarriedTable): string {
  return `${isPartitioned ? '' : 'only '}${quoteIdentifier(schema)}.${quoteIdentifier(name)}`;
}

function valueSql(column: ColumnRule, isTaken: boolean, limit: number): string {
  const { name, typeOid } = column;
  const size = sizeSql(column);
  const value =
    size === undefined ? quoteIdentifier(name) : `case when ${size} <= ${limit} then ${quoteIdentifier(name)} end`;
  const isZoned = ZONED_TYPES.has(typeOid) || !BUILT_IN_TYPES.has(typeOid);
  return isTaken && isZoned ? `realtime.utc_text(${value})` : value;
}

/** How many bytes a value has, as far as that is known without reading it. */
function sizeSql({ name, typeOid }: ColumnRule): string | undefined {
  if (SMALL_TYPES.has(typeOid)) return undefined;
  const measure = MEASURED_TYPES.has(typeOid) ? 'octet_length' : 'pg_column_size';
  return `pg_catalog.${measure}(${quoteIdentifier(name)})`;
}

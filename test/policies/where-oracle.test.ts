// The where oracle: random filters on random typed rows. The product judges the exact texts of a row, as the
// stream gives them, by its own SQL; PostgreSQL answers the same filter, written by the test, from the table
// itself. Both must name the same rows. Three planted bugs must be caught.

import type { Pool } from 'pg';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { imageStatement } from '../../server/policies/image-statement.ts';
import { JudgeCall, type JudgeIdentity } from '../../server/policies/judge-call.ts';
import type { ColumnRule, TableRules } from '../../server/policies/table-rules.ts';
import { TableRulesStore } from '../../server/policies/table-rules-store.ts';
import { checkWhere } from '../../server/policies/where-check.ts';
import { whereSql } from '../../server/policies/where-sql.ts';
import { columnsOf, parseWhere, type Where } from '../../server/protocol/where.ts';
import { type MigratedDatabase, migratedDatabase } from '../db/migrated.ts';
import { describeEachPostgres, newestPostgres } from '../rig/postgres.ts';
import { figure, isSoak, randomFrom, scaled, seed } from '../rig/scale.ts';
import { type Column, type Filter, randomFilter, sqlOf } from './where-cases.ts';
import { arrayText, KINDS_SQL, kindsOn, pick, type Random, upTo } from './where-kinds.ts';

const CASES = scaled(5_000, 200_000);
const PLANTED_CASES = 2_000;
const CASES_PER_TABLE = 200;
const ROWS = 24;
const NAMES = [
  'id',
  'Total',
  'and',
  'or',
  'in',
  '__proto__',
  'constructor',
  'a b',
  `q"'`,
  '__rci',
  'select',
  '$1',
  'ü',
  '\\',
  'x.y',
  'c',
];
const IDENTITY: JudgeIdentity = { role: 'authenticated', claims: '{"sub":"u"}', channelName: '' };

type Plant = {
  readonly column?: (column: ColumnRule) => ColumnRule;
  readonly sql?: (sql: string) => string;
};
type Case = { readonly filter: Filter; readonly where: Where };
type Tally = { cases: number; decisions: number; trues: number; differences: string[]; faults: string[] };

describeEachPostgres('a where, by the texts of a row and by SQL', (postgres) => {
  let host: MigratedDatabase;

  beforeAll(async () => {
    host = await migratedDatabase(postgres);
    await host.sql(KINDS_SQL);
  });
  afterAll(() => host.close());

  const isShortForm = !isSoak && postgres.version !== newestPostgres().version;

  it.skipIf(isShortForm)('never differs', { timeout: scaled(60_000, 3_600_000) }, async () => {
    const tally = await compare(host.db.pool, postgres.version, seed, { cases: CASES, stopAtFirst: false });
    const share = tally.trues / tally.decisions;
    figure(
      `where oracle: ${tally.cases} filters, ${tally.decisions} decisions, ${(share * 100).toFixed(1)} % true, seed ${seed}`,
    );
    expect(tally.differences.slice(0, 5), `seed ${seed}`).toEqual([]);
    expect(tally.faults.slice(0, 5), `seed ${seed}`).toEqual([]);
    expect(tally.cases).toBeGreaterThanOrEqual(CASES);
    expect(share).toBeGreaterThan(0.3);
  });

  // The long form found it: a cast gives the collation of its input, and that of a domain alone is its own.
  it.each([
    ['name, which is in collation C', 'name'],
    ['a domain in the collation of the database', 'public.nick collate "default"'],
    ['a domain in another collation than its own', 'public.nick collate "C"'],
    ['a text in the collation of the database', 'text collate "default"'],
    ['an array of names', 'name[]'],
  ])('does not differ for %s', async (_, type) => {
    const texts = ['i', 'İ', 'İi', 'a', 'A', 'Z', 'z', 'á'];
    const isArray = type.endsWith('[]');
    const kind = { type, row: () => '' };
    const rows = texts.map((text) => [isArray ? `{${text}}` : text]);
    const values = texts.map((text) => (isArray ? [text] : text));
    const filters = values.flatMap((value) => [
      ...['eq', 'gt', 'lte'].map((operator) => ({ c: { [operator]: value } })),
      ...(isArray ? [] : [{ c: { ilike: `%${value}` } }, { c: { like: `${value}%` } }]),
    ]);
    const tally = newTally();
    await compareTable(host.db.pool, { columns: [{ name: 'c', kind }], rows }, filters, {}, tally);
    expect(tally).toMatchObject({ differences: [], faults: [] });
  });

  it.skipIf(isShortForm).each<[string, Plant]>([
    [
      'literals cast with the modifier of the column',
      { column: (column) => ({ ...column, literalType: column.type }) },
    ],
    ["texts compared in the database's collation", { column: (column) => ({ ...column, collation: null }) }],
    [
      'patterns that lose their trailing blanks',
      { sql: (sql) => sql.replaceAll(/(like '(?:[^']|'')*')::text/g, '$1::bpchar') },
    ],
    ['neq that takes null for a value', { sql: (sql) => sql.replaceAll(' <> ', ' is distinct from ') }],
  ])('catches %s', async (_, plant) => {
    const tally = await compare(host.db.pool, postgres.version, seed, {
      cases: PLANTED_CASES,
      stopAtFirst: true,
      plant,
    });
    expect(tally.differences, `seed ${seed}`).not.toEqual([]);
  });
});

type Options = { readonly cases: number; readonly stopAtFirst: boolean; readonly plant?: Plant };

function newTally(): Tally {
  return { cases: 0, decisions: 0, trues: 0, differences: [], faults: [] };
}

async function compare(pool: Pool, version: number, start: number, options: Options): Promise<Tally> {
  const random = randomFrom(start);
  const tally = newTally();
  while (tally.cases < options.cases && !(options.stopAtFirst && tally.differences.length > 0)) {
    const columns = randomColumns(random, version);
    const rows = Array.from({ length: ROWS }, () => randomRow(random, columns));
    const filters = Array.from({ length: CASES_PER_TABLE }, () => randomFilter(random, columns));
    await compareTable(pool, { columns, rows }, filters, options.plant ?? {}, tally);
  }
  return tally;
}

type Table = { readonly columns: readonly Column[]; readonly rows: readonly (readonly (string | null)[])[] };

async function compareTable(
  pool: Pool,
  table: Table,
  filters: readonly Filter[],
  plant: Plant,
  tally: Tally,
): Promise<void> {
  const rules = await makeTable(pool, table);
  const images = await imagesOf(pool);
  const cases = filters.map(readFilter);
  const judged = await judge(pool, planted(rules, plant), images, cases, plant);
  const expected = await answers(pool, table.columns, cases);
  tally.faults.push(...judged.failures, ...(await refusals(pool, rules, cases)));
  for (const [index, { filter }] of cases.entries()) {
    const [got, wanted] = [judged.hits[index] ?? '', expected[index] ?? ''];
    tally.cases += 1;
    tally.decisions += images.length;
    tally.trues += wanted === '' ? 0 : wanted.split(',').length;
    if (got !== wanted) tally.differences.push(difference(filter, table.columns, images, got, wanted));
  }
}

function randomColumns(random: Random, version: number): Column[] {
  const kinds = kindsOn(version);
  const names = [...NAMES];
  return Array.from({ length: 6 + upTo(random, 6) }, () => {
    const [name] = names.splice(upTo(random, names.length - 1), 1);
    return { name: name as string, kind: pick(random, kinds) };
  });
}

function randomRow(random: Random, columns: readonly Column[]): (string | null)[] {
  return columns.map(({ kind }) => (random() < 0.12 ? null : kind.row(random)));
}

async function makeTable(pool: Pool, { columns, rows }: Table): Promise<TableRules> {
  const definitions = columns.map(({ name, kind }) => `"${name.split('"').join('""')}" ${kind.type}`);
  await pool.query(
    `drop table if exists public.cases; create table public.cases (${definitions.join(', ')}, "row number" int)`,
  );
  const places = columns.map((_, index) => `$${index + 1}`).join(', ');
  for (const [index, row] of rows.entries()) {
    await pool.query(`insert into public.cases values (${places}, ${index + 1})`, [...row]);
  }
  const oids = await pool.query<{ oid: number }>(`select 'public.cases'::regclass::oid as oid`);
  const oid = oids.rows[0]?.oid as number;
  return (await new TableRulesStore(pool, ['authenticated']).read([oid])).get(oid) as TableRules;
}

/** The texts of the output functions, which are what pgoutput prints. */
async function imagesOf(pool: Pool): Promise<readonly (readonly (string | null)[])[]> {
  const raw = { getTypeParser: () => (text: string | Buffer) => String(text) };
  const { rows } = await pool.query<(string | null)[]>({
    text: 'select * from public.cases order by "row number"',
    rowMode: 'array',
    types: raw,
  });
  return rows;
}

function readFilter(filter: Filter): Case {
  const result = parseWhere(JSON.parse(JSON.stringify(filter)));
  if (!result.ok) throw new Error(`${result.message}: ${JSON.stringify(filter)}`);
  return { filter, where: result.where };
}

function planted(rules: TableRules, { column = (given) => given }: Plant): TableRules {
  return { ...rules, columns: new Map([...rules.columns].map(([name, rule]) => [name, column(rule)])) };
}

type Judged = { readonly hits: readonly string[]; readonly failures: readonly string[] };

async function judge(
  pool: Pool,
  rules: TableRules,
  images: readonly (readonly (string | null)[])[],
  cases: readonly Case[],
  { sql = (given) => given }: Plant,
): Promise<Judged> {
  const names = [...rules.columns.keys()];
  const statements = cases.map(({ where }) => {
    const needed = columnsOf(where);
    const places = names.map((name) => (needed.has(name) ? name : null));
    return { sql: imageStatement(rules, places, sql(whereSql(where, rules))), set: 0 };
  });
  const answer = await new JudgeCall(pool).ask({
    ...{ xids: [], relids: [], fingerprints: null, budgetMs: 600_000 },
    sets: [images.map(arrayText)],
    statements,
    identities: [IDENTITY],
    entries: cases.map((_, statement) => ({ identity: 0, statement, isSuspect: false })),
  });
  if (answer.state !== 'ok') throw new Error(answer.state);
  const all = images.map((_, index) => index + 1);
  return {
    hits: answer.hits.map((rows) => [...(rows === 'all' ? all : rows)].sort((a, b) => a - b).join()),
    failures: answer.failures.map((failure) => `${failure.message}: ${JSON.stringify(cases[failure.entry]?.filter)}`),
  };
}

async function answers(pool: Pool, columns: readonly Column[], cases: readonly Case[]): Promise<readonly string[]> {
  const parameters: unknown[] = [];
  const selects = cases.map(({ filter }) => {
    const condition = sqlOf(filter, columns, parameters);
    return `(select coalesce(string_agg("row number"::text, ',' order by "row number"), '') from public.cases where ${condition})`;
  });
  const { rows } = await pool.query<{ answers: string[] }>(
    `select array[${selects.join(', ')}] as answers`,
    parameters,
  );
  return rows[0]?.answers ?? [];
}

/** What is well typed is not refused when it is subscribed to; some of the cases, for each takes a call. */
async function refusals(pool: Pool, rules: TableRules, cases: readonly Case[]): Promise<string[]> {
  const judge = new JudgeCall(pool);
  const found: string[] = [];
  for (const { where, filter } of cases.slice(0, 10)) {
    const refusal = await checkWhere(judge, { where, rules, granted: null, identity: IDENTITY });
    if (refusal !== undefined) found.push(`${refusal}: ${JSON.stringify(filter)}`);
  }
  return found;
}

function difference(
  filter: Filter,
  columns: readonly Column[],
  images: readonly (readonly (string | null)[])[],
  got: string,
  wanted: string,
): string {
  const rows = (text: string): string[] => (text === '' ? [] : text.split(','));
  const apart = [...new Set([...rows(got), ...rows(wanted)])].filter(
    (row) => rows(got).includes(row) !== rows(wanted).includes(row),
  );
  const first = Number(apart[0]);
  const named = columns.map(
    ({ name, kind }, index) => `${name} ${kind.type} = ${JSON.stringify(images[first - 1]?.[index] ?? null)}`,
  );
  return `${JSON.stringify(filter)} of row ${first} (${named.join('; ')}): judged ${rows(got).includes(String(first))}`;
}

// The case `decode`: the same WAL, read again and again from a slot that nobody confirms, by the raw reader
// and by the server's walk from the stream to the hub. One large transaction, then many of one row.

import type { Bench, BenchCase } from '../bench-case.ts';
import { type BenchDatabase, createBenchDatabase, migrateBenchDatabase } from '../bench-database.ts';
import { median } from '../figures.ts';
import { MeasuredProcess } from '../measured-process.ts';
import type { ReadResult } from '../processes/read-result.ts';
import { ratioOf } from '../report.ts';
import { CREATE_TABLE, INSERT_ROWS, insertOneByOne } from '../sample-rows.ts';

type Shape = {
  readonly name: string;
  readonly rows: number;
  readonly write: (database: BenchDatabase) => Promise<unknown>;
};
type Reader = { readonly name: string; readonly process: MeasuredProcess; readonly extra: object };

const PUBLICATIONS = ['rowcast', 'rowcast_inserts', 'rowcast_messages'];
const MAX_WALL_RATIO = 1.5;

export const decode: BenchCase = {
  name: 'decode',
  about: 'decode and route, against a raw reader of the same WAL',
  run: async (bench) => {
    for (const shape of shapes(bench)) await measureShape(bench, shape);
  },
};

function shapes({ size }: Bench): Shape[] {
  const [large, small] = size === 'full' ? [300_000, 100_000] : [4_000, 2_000];
  return [
    { name: 'one transaction', rows: large, write: (database) => database.query(INSERT_ROWS, [1, large]) },
    { name: 'one row each', rows: small, write: (database) => database.query(insertOneByOne(1, small)) },
  ];
}

async function measureShape(bench: Bench, shape: Shape): Promise<void> {
  await using database = await createBenchDatabase(bench.serverUrl);
  await prepare(database, shape);
  await using raw = MeasuredProcess.start('baselines/raw-reader.ts');
  await using router = MeasuredProcess.start('processes/router.ts', bench);
  const baseline: Reader = { name: 'raw reader', process: raw, extra: {} };
  const idle: Reader = { name: 'decode and route', process: router, extra: { hasSubscriber: false } };
  const busy: Reader = { name: 'decode, route, one subscriber', process: router, extra: { hasSubscriber: true } };
  const results = await interleave(bench.repeats, [baseline, idle, busy], database, shape);
  for (const reader of [baseline, idle, busy]) await tell(bench, shape, reader, results, baseline);
}

async function prepare(database: BenchDatabase, shape: Shape): Promise<void> {
  await migrateBenchDatabase(database);
  await database.query(CREATE_TABLE);
  await database.query(`select realtime.watch('bench_rows')`);
  await database.query(`select pg_create_logical_replication_slot($1, 'pgoutput')`, [database.slot]);
  await shape.write(database);
}

/** Each round reads once with every reader, so that a ratio compares neighbours. */
async function interleave(
  rounds: number,
  readers: readonly Reader[],
  database: BenchDatabase,
  { rows }: Shape,
): Promise<ReadonlyMap<Reader, ReadResult[]>> {
  const results = new Map<Reader, ReadResult[]>(readers.map((reader) => [reader, []]));
  const order = { databaseUrl: database.url, slot: database.slot, publications: PUBLICATIONS, rows };
  for (let round = 0; round < rounds; round++) {
    for (const reader of readers) {
      results.get(reader)?.push(await reader.process.call<ReadResult>('read', { ...order, ...reader.extra }));
      await untilReleased(database);
    }
  }
  return results;
}

async function untilReleased(database: BenchDatabase): Promise<void> {
  const isActive = `select from pg_replication_slots where slot_name = $1 and active`;
  while ((await database.query(isActive, [database.slot])).length > 0) await database.query('select pg_sleep(0.02)');
}

async function tell(
  { report, size }: Bench,
  { name, rows }: Shape,
  reader: Reader,
  results: ReadonlyMap<Reader, ReadResult[]>,
  baseline: Reader,
): Promise<void> {
  const own = results.get(reader) as ReadResult[];
  const wall = ratioOf(timesOf(own), timesOf(results.get(baseline) as ReadResult[]));
  const isBaseline = reader === baseline;
  report.add({
    bench: decode.name,
    what: `${name} · ${reader.name}`,
    rate: rows / (median(timesOf(own)) / 1000),
    cpuMicros: median(own.map(({ cpuMicros }) => cpuMicros)) / rows,
    rssBytes: (await reader.process.usage()).peakRssBytes,
    ratio: isBaseline ? undefined : `${wall.toFixed(2)} × the raw reader's time`,
    bar:
      isBaseline || size === 'short' ? undefined : { text: `bar ≤ ${MAX_WALL_RATIO}`, isMet: wall <= MAX_WALL_RATIO },
  });
}

function timesOf(results: readonly ReadResult[]): number[] {
  return results.map(({ tookMs }) => tookMs);
}

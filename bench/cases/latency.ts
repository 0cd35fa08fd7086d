// The case `latency`: one row at a time with pauses in between, from the INSERT (and from the commit, as the
// writer sees it) to every subscriber's socket. Whole server, real journal, against the NOTIFY baseline.

import { setTimeout as sleep } from 'node:timers/promises';
import type { Bench, BenchCase } from '../bench-case.ts';
import { sharedNow } from '../clock.ts';
import { median, number, percentile } from '../figures.ts';
import { INSERT_ROW } from '../sample-rows.ts';
import { Stage } from '../whole-path.ts';

/** Latencies of one run in ms, over all deliveries. */
export type Latencies = { readonly fromInsert: Float64Array; readonly fromCommit: Float64Array };

type Server = 'rowcast' | 'notify';

const MIN_PAUSE_MS = 10;
const MAX_PAUSE_MS = 40;
const MAX_P50_MS = 3;
const MAX_P99_MS = 10;

export const latency: BenchCase = {
  name: 'latency',
  about: 'commit to socket while idle, against a NOTIFY server',
  run: async (bench) => {
    for (const subscribers of bench.size === 'full' ? [1, 100, 1_000] : [1]) await measure(bench, subscribers);
  },
};

async function measure(bench: Bench, subscribers: number): Promise<void> {
  await using rowcast = await Stage.open(bench, { server: 'rowcast', subscribers });
  await using notify = await Stage.open(bench, { server: 'notify', subscribers });
  const inserts = bench.size === 'full' ? 200 : 10;
  const runs: Record<Server, Latencies[]> = { rowcast: [], notify: [] };
  for (let round = 0; round <= bench.repeats; round++) {
    for (const [server, stage] of [
      ['rowcast', rowcast],
      ['notify', notify],
    ] as const) {
      runs[server].push(await measureLatency(stage, 1_000 * round, inserts));
    }
  }
  for (const list of Object.values(runs)) list.shift(); // the first one warms
  for (const [server, stage] of [
    ['notify', notify],
    ['rowcast', rowcast],
  ] as const) {
    tell(bench, subscribers, server, runs, (await stage.server.usage()).peakRssBytes);
  }
}

/** Inserts the rows from `first` on, 10 to 40 ms apart. Rejects unless every subscriber got each once. */
export async function measureLatency(stage: Stage, first: number, inserts: number): Promise<Latencies> {
  const sentAt = new Map<number, number>();
  const committedAt = new Map<number, number>();
  await stage.expect({ messages: inserts, isTimed: true });
  for (let n = first; n < first + inserts; n++) {
    sentAt.set(n, sharedNow());
    await stage.database.query(INSERT_ROW, [n]);
    committedAt.set(n, sharedNow());
    await sleep(MIN_PAUSE_MS + Math.random() * (MAX_PAUSE_MS - MIN_PAUSE_MS));
  }
  const { arrivals } = await stage.received();
  return { fromInsert: since(sentAt, arrivals), fromCommit: since(committedAt, arrivals) };
}

function since(starts: ReadonlyMap<number, number>, arrivals: Float64Array): Float64Array {
  const result = new Float64Array(arrivals.length / 2);
  for (let i = 0; i < result.length; i++) {
    const startedAt = starts.get(arrivals[2 * i] as number);
    if (startedAt === undefined) throw new Error(`row ${arrivals[2 * i]} was not inserted`);
    result[i] = (arrivals[2 * i + 1] as number) - startedAt;
  }
  return result;
}

/** p50 and p99, each the median of the runs' own: one that the machine disturbed does not speak for all. */
export function percentilesOf(runs: readonly Float64Array[]): readonly [p50: number, p99: number] {
  return [median(runs.map((run) => percentile(run, 50))), median(runs.map((run) => percentile(run, 99)))];
}

function tell(
  { report, size }: Bench,
  subscribers: number,
  server: Server,
  runs: Readonly<Record<Server, readonly Latencies[]>>,
  rssBytes: number,
): void {
  const [p50Ms, p99Ms] = percentilesOf(runs[server].map((run) => run.fromInsert));
  const [commitP50, commitP99] = percentilesOf(runs[server].map((run) => run.fromCommit));
  const [baselineP50] = percentilesOf(runs.notify.map((run) => run.fromInsert));
  const ratio = server === 'notify' ? '' : ` · ${(p50Ms / baselineP50).toFixed(2)} × NOTIFY's p50`;
  const isBarred = server === 'rowcast' && subscribers === 1 && size === 'full';
  const isMet = p50Ms <= MAX_P50_MS && p99Ms <= MAX_P99_MS;
  report.add({
    bench: latency.name,
    what: `${server} · ${subscribers} subscriber(s), idle`,
    p50Ms,
    p99Ms,
    rssBytes,
    ratio: `from commit p50 ${number(commitP50)} p99 ${number(commitP99)}${ratio}`,
    bar: isBarred ? { text: `bar p50 ≤ ${MAX_P50_MS}, p99 ≤ ${MAX_P99_MS}`, isMet } : undefined,
  });
}

// The case `burst`: one statement of many rows to 1, 10 and 100 subscribers, from the statement to the last
// socket; CPU of the server until everything is in history as well. Against the NOTIFY baseline.

import { setTimeout as sleep } from 'node:timers/promises';
import type { Bench, BenchCase } from '../bench-case.ts';
import { sharedNow } from '../clock.ts';
import { median } from '../figures.ts';
import { INSERT_ROWS } from '../sample-rows.ts';
import { Stage } from '../whole-path.ts';

type Run = { readonly changesPerSecond: number; readonly cpuPerChange: number };
type Server = 'rowcast' | 'notify';
type Size = { readonly subscribers: number; readonly rows: Readonly<Record<Server, number>> };

/** A plain server takes a second for what takes us a tenth: its runs are shorter, rates are compared. */
const SIZES = {
  full: [
    { subscribers: 1, rows: { rowcast: 20_000, notify: 5_000 } },
    { subscribers: 10, rows: { rowcast: 20_000, notify: 3_000 } },
    { subscribers: 100, rows: { rowcast: 20_000, notify: 1_000 } },
  ],
  short: [{ subscribers: 2, rows: { rowcast: 1_000, notify: 200 } }],
} as const;
const JOURNAL_LOOK_MS = 20;
/** All receivers share one process, and that one the machine: none of them is to be called too slow. */
const PATIENT = { ROWCAST_MAX_QUEUED_TIME: '60s' };

export const burst: BenchCase = {
  name: 'burst',
  about: 'one statement of many rows to many subscribers, against a NOTIFY server',
  run: async (bench) => {
    for (const size of SIZES[bench.size]) await measure(bench, size);
  },
};

async function measure(bench: Bench, { subscribers, rows }: Size): Promise<void> {
  await using rowcast = await Stage.open(bench, { server: 'rowcast', subscribers, env: PATIENT });
  await using notify = await Stage.open(bench, { server: 'notify', subscribers });
  const runs: Record<Server, Run[]> = { rowcast: [], notify: [] };
  for (let round = 0; round <= bench.repeats; round++) {
    runs.rowcast.push(await runOnce(rowcast, 'rowcast', round, rows.rowcast));
    runs.notify.push(await runOnce(notify, 'notify', round, rows.notify));
  }
  for (const list of Object.values(runs)) list.shift(); // the first one warms
  for (const [server, stage] of [
    ['notify', notify],
    ['rowcast', rowcast],
  ] as const) {
    tell(bench, subscribers, server, runs, (await stage.server.usage()).peakRssBytes);
  }
}

async function runOnce(stage: Stage, server: Server, round: number, rows: number): Promise<Run> {
  await stage.expect({ messages: rows, isTimed: false });
  const before = await stage.server.usage();
  const startedAt = sharedNow();
  await stage.database.query(INSERT_ROWS, [round * rows + 1, (round + 1) * rows]);
  const { doneAt } = await stage.received();
  if (server === 'rowcast') await untilJournaled(stage, (round + 1) * rows);
  const after = await stage.server.usage();
  return {
    changesPerSecond: rows / ((doneAt - startedAt) / 1000),
    cpuPerChange: (after.cpuMicros - before.cpuMicros) / rows,
  };
}

// The counts are written in the transactions of history itself; counting its rows again and again would take more
// of the machine than writing them.
const JOURNALED = `
  select coalesce(sum(message_count), 0)::int as count from realtime.message_counts where width_s = 3600 and not is_removed`;

/** Waits until history has so many rows. Rejects if it has more. */
export async function untilJournaled(stage: Stage, rows: number): Promise<void> {
  for (;;) {
    const [row] = await stage.database.query<{ count: number }>(JOURNALED);
    const count = row?.count ?? 0;
    if (count > rows) throw new Error(`history has ${count} rows of ${rows}`);
    if (count === rows) return;
    await sleep(JOURNAL_LOOK_MS);
  }
}

function tell(
  { report }: Bench,
  subscribers: number,
  server: Server,
  runs: Readonly<Record<Server, readonly Run[]>>,
  rssBytes: number,
): void {
  const rate = rateOf(runs[server]);
  const cpuMicros = cpuOf(runs[server]);
  const rates = `${(rate / rateOf(runs.notify)).toFixed(1)} × NOTIFY's rate`;
  const ratio = `${rates} · 1/${(cpuOf(runs.notify) / cpuMicros).toFixed(1)} of its CPU`;
  report.add({
    bench: burst.name,
    what: `${server} · ${subscribers} subscriber(s)`,
    rate,
    cpuMicros,
    unit: 'change',
    rssBytes,
    ratio: server === 'notify' ? undefined : ratio,
  });
}

function rateOf(runs: readonly Run[]): number {
  return median(runs.map((run) => run.changesPerSecond));
}

function cpuOf(runs: readonly Run[]): number {
  return median(runs.map((run) => run.cpuPerChange));
}

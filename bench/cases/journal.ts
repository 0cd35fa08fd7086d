// The case `journal`: how fast history takes a bulk load, from its commit on, and what the journal costs a live
// change. The server without it is the same server whose journal waits ten seconds for company before it writes.

import type { Bench, BenchCase } from '../bench-case.ts';
import { sharedNow } from '../clock.ts';
import { median, number } from '../figures.ts';
import { INSERT_ROWS } from '../sample-rows.ts';
import { Stage } from '../whole-path.ts';
import { untilJournaled } from './burst.ts';
import { type Latencies, measureLatency, percentilesOf } from './latency.ts';

const MIN_ROWS_A_SECOND = 40_000;
const WITHOUT_JOURNAL = { ROWCAST_JOURNAL_DELAY: '10s' };

export const journal: BenchCase = {
  name: 'journal',
  about: "rows into history from a bulk load, and the journal's cost to a live change",
  run: async (bench) => {
    await measureLoad(bench);
    await measureLive(bench);
  },
};

async function measureLoad(bench: Bench): Promise<void> {
  const { size, repeats, report } = bench;
  const rows = size === 'full' ? 100_000 : 2_000;
  await using stage = await Stage.open(bench, { server: 'rowcast', subscribers: 0 });
  const rates: number[] = [];
  const loads: number[] = [];
  const cpu: number[] = [];
  for (let round = 0; round <= repeats; round++) {
    const before = await stage.server.usage();
    const startedAt = sharedNow();
    await stage.database.query(INSERT_ROWS, [round * rows + 1, (round + 1) * rows]);
    // Nothing of a transaction can be read before it commits.
    const committedAt = sharedNow();
    await untilJournaled(stage, (round + 1) * rows);
    rates.push(rows / ((sharedNow() - committedAt) / 1000));
    loads.push(rows / ((committedAt - startedAt) / 1000));
    cpu.push(((await stage.server.usage()).cpuMicros - before.cpuMicros) / rows);
  }
  const rate = median(rates.slice(1));
  report.add({
    bench: journal.name,
    what: `${rows} rows by one statement into history`,
    rate,
    cpuMicros: median(cpu.slice(1)),
    rssBytes: (await stage.server.usage()).peakRssBytes,
    ratio: `${number(rate / median(loads.slice(1)))} × the rate of the statement itself`,
    bar: size === 'full' ? { text: `bar ≥ ${number(MIN_ROWS_A_SECOND)}`, isMet: rate >= MIN_ROWS_A_SECOND } : undefined,
  });
}

async function measureLive(bench: Bench): Promise<void> {
  const inserts = bench.size === 'full' ? 200 : 10;
  await using journaling = await Stage.open(bench, { server: 'rowcast', subscribers: 1 });
  await using waiting = await Stage.open(bench, { server: 'rowcast', subscribers: 1, env: WITHOUT_JOURNAL });
  const runs: { journaling: Latencies[]; waiting: Latencies[] } = { journaling: [], waiting: [] };
  for (let round = 0; round < bench.repeats; round++) {
    runs.journaling.push(await measureLatency(journaling, 1_000 * round, inserts));
    runs.waiting.push(await measureLatency(waiting, 1_000 * round, inserts));
  }
  const [, baseline] = percentilesOf(runs.waiting.map((run) => run.fromInsert));
  for (const name of ['waiting', 'journaling'] as const) {
    const [p50Ms, p99Ms] = percentilesOf(runs[name].map((run) => run.fromInsert));
    bench.report.add({
      bench: journal.name,
      what: name === 'waiting' ? 'a live change, journal held back' : 'a live change, journal writing',
      p50Ms,
      p99Ms,
      ratio: name === 'waiting' ? undefined : `${(p99Ms / baseline).toFixed(2)} × the p99 without it`,
    });
  }
}

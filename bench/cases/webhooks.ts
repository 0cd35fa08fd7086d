// The case `webhooks`: deliveries a second to a local receiver, one by one and in batches, against plain POSTs from memory;
// what writing deliveries costs the journal; and how long healthy receivers wait when a dead and a slow one are beside them.

import { setTimeout as sleep } from 'node:timers/promises';
import type { PostOrder } from '../baselines/plain-post.ts';
import type { Bench, BenchCase } from '../bench-case.ts';
import { sharedNow } from '../clock.ts';
import { median, number, percentile } from '../figures.ts';
import { MeasuredProcess } from '../measured-process.ts';
import type { WebhooksReceived } from '../processes/webhook-receiver.ts';
import { Stage } from '../whole-path.ts';
import { untilJournaled } from './burst.ts';

type Mode = 'single' | 'batch';
type Run = { readonly rate: number; readonly cpuMicros: number; readonly rssBytes: number };

const CHANNEL = 'bench:1';
const IN_FLIGHT = 30;
const HEALTHY = 18;
const SIZES = {
  full: { messages: 10_000, journaled: 20_000, timed: 300 },
  short: { messages: 200, journaled: 300, timed: 10 },
} as const;
const ALLOW = { ROWCAST_WEBHOOK_ALLOW: '127.0.0.0/8' };
const PUBLISH = `select realtime.publish('${CHANNEL}', 'bench.event', jsonb_build_object('n', n)) from generate_series(1, $1::integer) as n`;
const ADD = `insert into realtime.webhook_endpoints (url, pattern, mode, batch_interval_ms, secret)
  values ($1, $2, $3, 10, realtime.webhook_secret())`;

export const webhooks: BenchCase = {
  name: 'webhooks',
  about: 'deliveries to a local receiver, what they cost the journal, and sick receivers beside healthy ones',
  run: async (bench) => {
    await measureRate(bench);
    await measureEnqueueing(bench);
    await measureNeighbours(bench);
  },
};

async function measureRate(bench: Bench): Promise<void> {
  const { messages } = SIZES[bench.size];
  await using poster = MeasuredProcess.start('baselines/plain-post.ts');
  await using receiver = MeasuredProcess.start('processes/webhook-receiver.ts');
  const port = await receiver.call<number>('listen');
  await using single = await openStage(bench, port, 'single');
  await using batch = await openStage(bench, port, 'batch');
  const plain: number[] = [];
  const runs: Record<Mode, Run[]> = { single: [], batch: [] };
  for (let round = 0; round <= bench.repeats; round++) {
    await receiver.call('expect', messages);
    const order: PostOrder = { port, requests: messages, inFlight: IN_FLIGHT };
    plain.push(messages / ((await poster.call<number>('post', order)) / 1000));
    runs.single.push(await deliver(bench, receiver, single));
    runs.batch.push(await deliver(bench, receiver, batch));
  }
  const baseline = median(plain.slice(1));
  const about = { bench: webhooks.name, unit: 'message' };
  bench.report.add({ ...about, what: `plain POSTs, ${IN_FLIGHT} at once`, rate: baseline });
  for (const mode of ['single', 'batch'] as const) {
    const of = runs[mode].slice(1);
    const rate = median(of.map((run) => run.rate));
    bench.report.add({
      ...about,
      what: mode === 'single' ? `single, ${IN_FLIGHT} at once` : 'batches',
      rate,
      cpuMicros: median(of.map((run) => run.cpuMicros)),
      rssBytes: Math.max(...of.map((run) => run.rssBytes)),
      ratio: `${number(rate / baseline)} × the plain POSTs'`,
    });
  }
}

async function openStage(bench: Bench, port: number, mode: Mode): Promise<Stage> {
  const stage = await Stage.open(bench, { server: 'rowcast', subscribers: 0, channel: CHANNEL, env: ALLOW });
  await stage.database.query(ADD, [`http://127.0.0.1:${port}/ok`, 'bench:*', mode]);
  return stage;
}

/** From the commit to the last one received. */
async function deliver({ size }: Bench, receiver: MeasuredProcess, stage: Stage): Promise<Run> {
  const { messages } = SIZES[size];
  await receiver.call('expect', messages);
  const before = await stage.server.usage();
  await stage.database.query(PUBLISH, [messages]);
  const committedAt = sharedNow();
  const { doneAt } = await receiver.call<WebhooksReceived>('received');
  const { cpuMicros, peakRssBytes: rssBytes } = await stage.server.usage();
  const rate = messages / ((doneAt - committedAt) / 1000);
  return { rate, cpuMicros: (cpuMicros - before.cpuMicros) / messages, rssBytes };
}

/** Nothing is sent: what is measured is the writing alone. */
async function measureEnqueueing(bench: Bench): Promise<void> {
  const { journaled } = SIZES[bench.size];
  const rates: { without: number[]; with: number[] } = { without: [], with: [] };
  const env = { ...ALLOW, ROWCAST_WEBHOOKS: 'off' };
  await using plain = await Stage.open(bench, { server: 'rowcast', subscribers: 0, channel: CHANNEL, env });
  await using hooked = await Stage.open(bench, { server: 'rowcast', subscribers: 0, channel: CHANNEL, env });
  await hooked.database.query(ADD, ['http://127.0.0.1:9/', 'bench:*', 'single']);
  for (let round = 0; round <= bench.repeats; round++) {
    rates.without.push(await journalRate(plain, journaled, (round + 1) * journaled));
    rates.with.push(await journalRate(hooked, journaled, (round + 1) * journaled));
  }
  const without = median(rates.without.slice(1));
  const rate = median(rates.with.slice(1));
  bench.report.add({ bench: webhooks.name, what: 'messages into history, no webhook', rate: without });
  bench.report.add({
    bench: webhooks.name,
    what: 'messages into history, one webhook each',
    rate,
    ratio: `${number(rate / without)} × the rate without`,
    bar: bench.size === 'full' ? { text: 'bar ≥ 0.5', isMet: rate >= without / 2 } : undefined,
  });
}

async function journalRate(stage: Stage, messages: number, total: number): Promise<number> {
  await stage.database.query(PUBLISH, [messages]);
  const committedAt = sharedNow();
  await untilJournaled(stage, total);
  return messages / ((sharedNow() - committedAt) / 1000);
}

async function measureNeighbours(bench: Bench): Promise<void> {
  const runs: { healthy: number[][]; sick: number[][] } = { healthy: [], sick: [] };
  await using receiver = MeasuredProcess.start('processes/webhook-receiver.ts');
  const port = await receiver.call<number>('listen');
  for (let round = 0; round < bench.repeats; round++) {
    runs.healthy.push(await latencies(bench, receiver, port, []));
    runs.sick.push(await latencies(bench, receiver, port, ['/dead', '/slow']));
  }
  const p99 = { healthy: percentile(runs.healthy.flat(), 99), sick: percentile(runs.sick.flat(), 99) };
  for (const kind of ['healthy', 'sick'] as const) {
    const isSick = kind === 'sick';
    bench.report.add({
      bench: webhooks.name,
      what: `${HEALTHY} healthy receivers${isSick ? ', one dead and one slow beside them' : ''}`,
      p50Ms: percentile(runs[kind].flat(), 50),
      p99Ms: p99[kind],
      ratio: isSick ? `${number(p99.sick / p99.healthy)} × the p99 without them` : undefined,
      bar: isSick && bench.size === 'full' ? { text: 'bar < 2', isMet: p99.sick < 2 * p99.healthy } : undefined,
    });
  }
}

/** From the publishing of a message to each healthy receiver. */
async function latencies(bench: Bench, receiver: MeasuredProcess, port: number, sick: string[]): Promise<number[]> {
  const { timed } = SIZES[bench.size];
  await using stage = await Stage.open(bench, { server: 'rowcast', subscribers: 0, channel: CHANNEL, env: ALLOW });
  const paths = [...Array.from({ length: HEALTHY }, (_, index) => `/ok${index}`), ...sick];
  for (const path of paths) await stage.database.query(ADD, [`http://127.0.0.1:${port}${path}`, 'bench:*', 'single']);
  await receiver.call('expect', timed * HEALTHY);
  for (let n = 0; n < timed; n++) {
    await stage.database.query(`select realtime.publish($1, 'bench.event', jsonb_build_object('sentAt', $2::float8))`, [
      CHANNEL,
      sharedNow(),
    ]);
    await sleep(10 + Math.random() * 30);
  }
  return [...(await receiver.call<WebhooksReceived>('received')).latenciesMs];
}

// The case `slow-readers`: latencies as in `latency`, of 97 sockets that read well, while three others are sent
// much more: once they read it, once the one stops to read, the next takes a byte a second and the third answers no
// ping, and all three come back whenever they are cut.

import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'pg';
import type { Bench, BenchCase } from '../bench-case.ts';
import { MeasuredProcess } from '../measured-process.ts';
import type { Manner, SlowOrder } from '../processes/slow-order.ts';
import { Stage } from '../whole-path.ts';
import { measureLatency, percentilesOf } from './latency.ts';

type Company = 'good' | 'bad';

const MANNERS: Readonly<Record<Company, readonly Manner[]>> = {
  good: ['well', 'well', 'well'],
  bad: ['stalled', 'trickling', 'mute'],
};
const SIZES = { full: { subscribers: 97, inserts: 300 }, short: { subscribers: 3, inserts: 10 } } as const;
const MAX_P99_RATIO = 2;
/** Three megabytes a second and reader: a socket that nobody reads is full, and above its bound, within seconds. */
const LOAD = `
  insert into bench_load (body) select repeat(n || ' lorem ipsum ', 620) from generate_series(1, 40) as n`;
const LOAD_EVERY_MS = 100;
const SETUP = `
  create table bench_load (id bigint generated always as identity primary key, body text not null);
  select realtime.watch('bench_load')`;
const LOADED_CHANNEL = 'db:bench_load';
/** Pings soon enough for a run. */
const ENV = { ROWCAST_PING_INTERVAL: '2s', ROWCAST_PONG_TIMEOUT: '2s' };

export const slowReaders: BenchCase = {
  name: 'slow-readers',
  about: 'latency of 97 sockets beside three that read badly, against three that read well',
  run: async (bench) => {
    const { subscribers, inserts } = SIZES[bench.size];
    await using stage = await Stage.open(bench, { server: 'rowcast', subscribers, env: ENV });
    await stage.database.query(SETUP);
    await using others = MeasuredProcess.start('processes/slow-receiver.ts');
    await using load = await Load.start(stage.database.url);
    const runs: Record<Company, Float64Array[]> = { good: [], bad: [] };
    for (let round = 0; round <= bench.repeats; round++) {
      for (const company of ['good', 'bad'] as const) {
        const subscribe = JSON.stringify({ type: 'subscribe', channel: LOADED_CHANNEL });
        const order: SlowOrder = { ...stage.address, subscribe, manners: MANNERS[company] };
        await others.call('read', order);
        runs[company].push((await measureLatency(stage, 1_000 * (2 * round + 1), inserts)).fromInsert);
      }
    }
    load.check();
    for (const list of Object.values(runs)) list.shift(); // the first one warms
    bench.report.note(`slow-readers: ${await cutReaders(stage)} connections were cut as too slow`);
    tell(bench, subscribers, runs, (await stage.server.usage()).peakRssBytes);
  },
};

/** Writes what the three are sent, until it is disposed of. */
class Load implements AsyncDisposable {
  readonly #client: Client;
  readonly #writing: Promise<void>;
  #isStopped = false;
  #failure: unknown;

  static async start(url: string): Promise<Load> {
    const client = new Client(url);
    await client.connect();
    return new Load(client);
  }

  private constructor(client: Client) {
    this.#client = client;
    this.#writing = this.#write().catch((error: unknown) => {
      this.#failure = error;
    });
  }

  /** Throws if it broke off. */
  check(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isStopped = true;
    await this.#writing;
    await this.#client.end();
  }

  async #write(): Promise<void> {
    while (!this.#isStopped) {
      await this.#client.query(LOAD);
      await sleep(LOAD_EVERY_MS);
    }
  }
}

async function cutReaders({ address }: Stage): Promise<number> {
  const metrics = await (await fetch(`http://127.0.0.1:${address.port}/metrics`)).text();
  return Number(/^rowcast_slow_readers_total (\d+)$/m.exec(metrics)?.[1]);
}

function tell(
  { report, size }: Bench,
  subscribers: number,
  runs: Readonly<Record<Company, readonly Float64Array[]>>,
  rssBytes: number,
): void {
  const [, baselineP99] = percentilesOf(runs.good);
  for (const company of ['good', 'bad'] as const) {
    const [p50Ms, p99Ms] = percentilesOf(runs[company]);
    const isMet = p99Ms < baselineP99 * MAX_P99_RATIO;
    const isBarred = company === 'bad' && size === 'full';
    report.add({
      bench: slowReaders.name,
      what: `${subscribers} sockets beside three that read ${company === 'good' ? 'well' : 'badly'}`,
      p50Ms,
      p99Ms,
      rssBytes,
      ratio: company === 'good' ? undefined : `${(p99Ms / baselineP99).toFixed(2)} × their p99 beside good ones`,
      bar: isBarred ? { text: `bar < ${MAX_P99_RATIO}`, isMet } : undefined,
    });
  }
}

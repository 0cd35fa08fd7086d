// The case `publish`: messages a second over sockets, over REST and in SQL, each publisher waiting for its
// confirmation, a subscriber receiving all of it and the journal writing. Against the same number of connections
// that insert into a plain table: what the database itself takes for a committed message.

import type { Bench, BenchCase } from '../bench-case.ts';
import { median, number, percentile } from '../figures.ts';
import { MeasuredProcess } from '../measured-process.ts';
import type { Published, PublishOrder } from '../processes/publish-order.ts';
import { Stage } from '../whole-path.ts';

type Way = 'plain' | 'sql' | 'socket' | 'rest';
type Run = { readonly rate: number; readonly cpuMicros: number; readonly p50Ms: number; readonly p99Ms: number };

const WAYS: readonly Way[] = ['plain', 'sql', 'socket', 'rest'];
const CHANNEL = 'bench:1';
const SETUP = `
  create table bench_messages (
    id uuid primary key default gen_random_uuid(), channel text not null, event text not null, payload jsonb not null,
    created_at timestamptz not null default now());
  create policy bench_publish on realtime.messages for insert to authenticated with check (channel_name like 'bench:%')`;
const SIZES = { full: { publishers: [1, 16], messages: 4_000 }, short: { publishers: [2], messages: 40 } } as const;

export const publish: BenchCase = {
  name: 'publish',
  about: 'messages over sockets, REST and SQL, against inserts into a plain table',
  run: async (bench) => {
    for (const publishers of SIZES[bench.size].publishers) await measure(bench, publishers);
  },
};

async function measure(bench: Bench, publishers: number): Promise<void> {
  await using stage = await Stage.open(bench, { server: 'rowcast', subscribers: 1, channel: CHANNEL });
  await stage.database.query(SETUP);
  await using publisher = MeasuredProcess.start('processes/publisher.ts');
  const runs: Record<Way, Run[]> = { plain: [], sql: [], socket: [], rest: [] };
  for (let round = 0; round <= bench.repeats; round++) {
    for (const way of WAYS) runs[way].push(await runOnce(bench, stage, publisher, way, publishers));
  }
  for (const list of Object.values(runs)) list.shift(); // the first one warms
  const rssBytes = (await stage.server.usage()).peakRssBytes;
  for (const way of WAYS) tell(bench, publishers, way, runs, rssBytes);
}

async function runOnce(
  { size }: Bench,
  stage: Stage,
  publisher: MeasuredProcess,
  way: Way,
  publishers: number,
): Promise<Run> {
  const messagesEach = Math.ceil(SIZES[size].messages / publishers);
  const messages = messagesEach * publishers;
  if (way !== 'plain') await stage.expect({ messages, isTimed: false });
  const before = await stage.server.usage();
  const { port, userToken: token = '' } = stage.address;
  const order: PublishOrder = {
    port,
    token,
    databaseUrl: stage.database.url,
    channel: CHANNEL,
    publishers,
    messagesEach,
  };
  const { elapsedMs, latenciesMs } = await publisher.call<Published>(way, order);
  if (way !== 'plain') await stage.received();
  const after = await stage.server.usage();
  return {
    rate: messages / (elapsedMs / 1000),
    cpuMicros: (after.cpuMicros - before.cpuMicros) / messages,
    p50Ms: percentile(latenciesMs, 50),
    p99Ms: percentile(latenciesMs, 99),
  };
}

function tell(
  bench: Bench,
  publishers: number,
  way: Way,
  runs: Readonly<Record<Way, readonly Run[]>>,
  rssBytes: number,
): void {
  const of = (which: Way, field: keyof Run): number => median(runs[which].map((run) => run[field]));
  const isBaseline = way === 'plain';
  bench.report.add({
    bench: publish.name,
    what: isBaseline ? `plain INSERT · ${publishers} connection(s)` : `${way} · ${publishers} publisher(s)`,
    rate: of(way, 'rate'),
    cpuMicros: isBaseline ? undefined : of(way, 'cpuMicros'),
    unit: 'message',
    p50Ms: of(way, 'p50Ms'),
    p99Ms: of(way, 'p99Ms'),
    rssBytes: isBaseline ? undefined : rssBytes,
    ratio: isBaseline ? undefined : `${number(of(way, 'rate') / of('plain', 'rate'))} × the plain INSERT's rate`,
  });
}

// The case `history`: pages and statistics of a history of one and of ten million rows, over REST, against the SQL that is
// usually written for it over one table. The filling takes longer than the measuring.

import { FLAT, flatPage, flatStats, makeFlatHistory } from '../baselines/flat-history.ts';
import type { Bench, BenchCase } from '../bench-case.ts';
import { type BenchDatabase, createBenchDatabase, migrateBenchDatabase } from '../bench-database.ts';
import { median, number, percentile } from '../figures.ts';
import { MeasuredProcess } from '../measured-process.ts';
import type { ServerAddress } from '../processes/receive-order.ts';
import type { ServeOrder } from '../processes/rowcast-server.ts';
import { fillHistory } from '../sample-history.ts';

export const history: BenchCase = {
  name: 'history',
  about: 'pages and statistics of 1 and 10 million rows, against SQL over one table (takes a quarter of an hour)',
  run: async (bench) => {
    for (const rows of bench.size === 'full' ? [1_000_000, 10_000_000] : [20_000]) await measure(bench, rows);
  },
};

type Question = {
  readonly what: string;
  /** Below /api/realtime. */
  readonly path: string;
  readonly sql: string;
};

/** Either side is asked so often, or for so long. */
const ASKED = { full: 60, short: 3 };
const ASKED_FOR_MS = 10_000;
const WARMING = 3;

async function measure(bench: Bench, rows: number): Promise<void> {
  await using database = await createBenchDatabase(bench.serverUrl);
  const policyUrl = await migrateBenchDatabase(database);
  const startedAt = performance.now();
  await fillHistory(database, rows);
  await makeFlatHistory(database);
  bench.report.note(
    `history: ${number(rows)} rows, ${await sizeOf(database)}, filled in ${number((performance.now() - startedAt) / 1000)} s`,
  );
  await using server = MeasuredProcess.start('processes/rowcast-server.ts', bench);
  const order: ServeOrder = { databaseUrl: database.url, policyUrl, slot: database.slot };
  const address = await server.call<ServerAddress>('serve', order);
  for (const question of await questions(database, rows)) await compare(bench, rows, question, address, database);
}

async function sizeOf(database: BenchDatabase): Promise<string> {
  const [row] = await database.query<{ sizes: string }>(`
    select pg_size_pretty(sum(pg_total_relation_size(c.oid)) filter (where c.relnamespace = 'realtime'::regnamespace)) || ', the one table '
      || pg_size_pretty(pg_total_relation_size('${FLAT}')) as sizes
    from pg_class c where c.relkind = 'r'`);
  return row?.sizes ?? '';
}

async function questions(database: BenchDatabase, rows: number): Promise<readonly Question[]> {
  const [facts] = await database.query<{
    channel: string;
    table: string;
    middle: string;
    from: string;
    to: string;
    day: string;
  }>(`
    select (select id from realtime.channels where pattern = 'ch2:*') as channel, (select id from realtime.channels where pattern = 'db:t1') as table,
      (select position from ${FLAT} order by position offset ${rows / 2} limit 1) as middle,
      to_char(min(created_at) + interval '1 hour 1.5 minutes', 'YYYY-MM-DD"T"HH24:MI:SSOF":00"') as from,
      to_char(min(created_at) + interval '2 hours 2.7 minutes', 'YYYY-MM-DD"T"HH24:MI:SSOF":00"') as to,
      to_char(max(created_at) - interval '1 day 7.3 minutes', 'YYYY-MM-DD"T"HH24:MI:SSOF":00"') as day
    from ${FLAT}`);
  const { channel, table, middle, from, to, day } = facts as NonNullable<typeof facts>;
  const window = `since=${encodeURIComponent(from)}&until=${encodeURIComponent(to)}`;
  const within = `created_at >= '${from}' and created_at < '${to}'`;
  const page = (what: string, query: string, where: string, offset = 0): Question => ({
    what,
    path: `/messages?${query}`,
    sql: flatPage(where, offset),
  });
  const stats = (what: string, query: string, where: string): Question => ({
    what,
    path: `/messages/stats?${query}`,
    sql: flatStats(where),
  });
  return [
    page('first page', '', 'true'),
    page('page in the middle, by position', `until=${middle}`, 'true', rows / 2),
    page('a channel', `channelId=${channel}`, `channel_id = '${channel}'`),
    page('a table', `channelId=${table}`, `channel_id = '${table}'`),
    page('a name', 'channel=ch2:77', `channel_name = 'ch2:77'`),
    page('an event', 'eventName=event.3', `event_name = 'event.3'`),
    page('a sender', 'senderId=user-42', `sender_id = 'user-42'`),
    page('an hour at the far end', window, within),
    page('an event in that hour', `${window}&eventName=event.3`, `${within} and event_name = 'event.3'`),
    page(
      'a channel without the event',
      `channelId=${channel}&eventName=none`,
      `channel_id = '${channel}' and event_name = 'none'`,
    ),
    stats('statistics of all', '', 'true'),
    stats('statistics of a channel', `channelId=${channel}`, `channel_id = '${channel}'`),
    stats('statistics of a day', `since=${encodeURIComponent(day)}`, `created_at >= '${day}'`),
    stats('statistics of that hour', window, within),
  ];
}

async function compare(
  { report, size }: Bench,
  rows: number,
  { what, path, sql }: Question,
  { port, token }: ServerAddress,
  database: BenchDatabase,
): Promise<void> {
  const request = { headers: { authorization: `Bearer ${token}` } };
  const ask = async (): Promise<number> =>
    countIn(await (await fetch(`http://127.0.0.1:${port}/api/realtime${path}`, request)).json());
  const select = async (): Promise<number> => countIn(await database.query(sql));
  const [found, expected] = [await ask(), await select()];
  if (found !== expected) throw new Error(`${what}: ${found} messages, the one table has ${expected}`);
  const [subject, baseline] = await inTurns(ask, select, ASKED[size]);
  report.add({
    bench: history.name,
    what: `${number(rows)} rows · ${what}`,
    p50Ms: median(subject),
    p99Ms: percentile(subject, 99),
    ratio: `${number(median(subject) / median(baseline))} × plain SQL's p50 of ${number(median(baseline))} ms`,
  });
}

/** Rows of a page, or messages that statistics count. */
function countIn(answer: unknown): number {
  if (!Array.isArray(answer)) return (answer as { totalMessages: number }).totalMessages;
  const isCounted = answer.length > 0 && 'count' in answer[0];
  return isCounted ? answer.reduce((sum: number, { count }: { count: number }) => sum + count, 0) : answer.length;
}

async function inTurns(
  subject: () => Promise<unknown>,
  baseline: () => Promise<unknown>,
  times: number,
): Promise<readonly [number[], number[]]> {
  const taken: readonly [number[], number[]] = [[], []];
  const startedAt = performance.now();
  for (let n = -WARMING; n < times && (n < 3 || performance.now() - startedAt < 2 * ASKED_FOR_MS); n++) {
    for (const [side, work] of [subject, baseline].entries()) {
      const before = performance.now();
      await work();
      if (n >= 0) taken[side as 0 | 1].push(performance.now() - before);
    }
  }
  return taken;
}

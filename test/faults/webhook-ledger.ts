// Owns the ledger of webhooks: messages go to twenty endpoints that answer at random, while the server is killed again and
// again; in the end every endpoint has every message, and the history counts what the receivers have acknowledged. It
// returns what it finds wrong instead of throwing, so that a test can show that a planted bug is found.

import { setTimeout as sleep } from 'node:timers/promises';
import { migrateDatabase } from '../app/test-app.ts';
import type { TestDatabase, TestPostgres } from '../rig/postgres.ts';
import { until } from '../rig/until.ts';
import type { Plant } from './plant.ts';
import { ServerProcess, serverEnvironment } from './server-process.ts';
import { type EndpointLedger, type LedgerEndpoint, type Mix, WebhookReceiver } from './webhook-receiver.ts';

export type WebhookLedgerOptions = {
  readonly postgres: TestPostgres;
  readonly messages: number;
  readonly kills: number;
  /** Channels that the messages are spread over; those that are sent one by one get one of them each. 1: everybody gets all. */
  readonly channels: number;
  readonly mix: Mix;
  readonly random: () => number;
  readonly plant?: Plant | undefined;
  /** How long the last server may take to deliver the rest. */
  readonly settleMs: number;
};

export type WebhookLedgerReport = {
  /** What is wrong; empty if all promises were kept. */
  readonly violations: readonly string[];
  readonly requests: number;
  /** Requests of an id that had come before. */
  readonly repeated: number;
  readonly answers: Readonly<Record<string, number>>;
  readonly tookMs: number;
};

const QUIET = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };
const ENDPOINTS = 20;
const MESSAGES_AT_ONCE = 50;
/** Of all that is to be received, while receivers still answer at random. */
const RANDOM_SHARE = 0.8;
const SOME = 5;

/** Times as of production, scaled down. */
const QUICK = {
  ROWCAST_WEBHOOK_ALLOW: '127.0.0.0/8',
  ROWCAST_WEBHOOK_TIMEOUT: '200ms',
  ROWCAST_WEBHOOK_RETRY_INITIAL: '10ms',
  ROWCAST_WEBHOOK_RETRY_MAX: '200ms',
  // So many wait for each other in the one receiver.
  ROWCAST_WEBHOOK_MAX_IN_FLIGHT: '40',
};

/** A quarter ordered, a quarter by the batch, the others as many at once as they may. */
const kindOf = (index: number): { ordered: boolean; mode: 'single' | 'batch' } => ({
  ordered: index % 4 === 0,
  mode: index % 4 === 1 ? 'batch' : 'single',
});

export async function runWebhookLedger(options: WebhookLedgerOptions): Promise<WebhookLedgerReport> {
  const { postgres, kills, random, plant, settleMs } = options;
  const startedAt = performance.now();
  await using database = await postgres.createMigrated();
  const { env, config } = serverEnvironment(database, QUICK);
  await migrateDatabase(database.url, config, QUIET);
  await database.query(`insert into realtime.channels (pattern) values ('ledger:*')`);
  await using receiver = await WebhookReceiver.open(options, (port) =>
    createEndpoints(database, port, options.channels),
  );
  await firstStart(env);
  const publishing = publish(database, options);
  for (let kill = 0; kill < kills; kill++) {
    await using server = ServerProcess.spawn(env, plant);
    await server.greeted();
    await sleep(200 + random() * 1_500);
    await server.killed();
  }
  await publishing;
  await using last = ServerProcess.spawn(env, plant);
  await last.greeted();
  const all = [...receiver.ledgers.values()];
  await until(() => all.every((ledger) => isDone(ledger, options.messages * RANDOM_SHARE)), {
    timeoutMs: settleMs / 2,
  }).catch(
    () => undefined, // whoever is late is judged below
  );
  receiver.calm();
  const settled = await settle(all, options.messages, settleMs);
  const counted = await untilCounted(database);
  await last.stop();
  const violations = [
    ...settled,
    ...counted,
    ...all.flatMap(firstViolations),
    ...(await judge(database, all, options)),
  ];
  const requests = all.reduce((sum, ledger) => sum + ledger.requests, 0);
  const repeated = all.reduce((sum, ledger) => sum + ledger.repeated, 0);
  const answers = Object.fromEntries(receiver.answers);
  return { violations, requests, repeated, answers, tookMs: performance.now() - startedAt };
}

// What commits from the first start on is in the slot.
async function firstStart(env: Readonly<Record<string, string>>): Promise<void> {
  await using server = ServerProcess.spawn(env);
  await server.greeted();
  await server.stop();
}

async function createEndpoints(
  database: TestDatabase,
  port: number,
  channels: number,
): Promise<readonly LedgerEndpoint[]> {
  const endpoints: LedgerEndpoint[] = [];
  for (let index = 0; index < ENDPOINTS; index++) {
    const { ordered, mode } = kindOf(index);
    const isOfAll = mode === 'batch' || channels === 1;
    const first = isOfAll ? 0 : index % channels;
    const path = `/${mode}${ordered ? '-ordered' : ''}-${index}`;
    const rows = await database.query<{ secret: string }>(
      `insert into realtime.webhook_endpoints (url, pattern, mode, ordered, batch_interval_ms, secret)
       values ($1, $4, $2, $3, 100, realtime.webhook_secret()) returning secret`,
      [`http://127.0.0.1:${port}${path}`, mode, ordered, isOfAll ? 'ledger:*' : `ledger:${first}`],
    );
    const secret = rows[0]?.secret ?? '';
    endpoints.push({ path, secret, ordered: ordered || mode === 'batch', first, step: isOfAll ? 1 : channels });
  }
  return endpoints;
}

/** One transaction after the other, so that `n` is the order; spread over what the kills take. */
async function publish(database: TestDatabase, { messages, kills, channels }: WebhookLedgerOptions): Promise<void> {
  const client = await database.connect();
  try {
    const pauseMs = Math.min(100, (kills * 1_500) / (messages / MESSAGES_AT_ONCE));
    for (let from = 0; from < messages; from += MESSAGES_AT_ONCE) {
      const to = Math.min(from + MESSAGES_AT_ONCE, messages) - 1;
      await client.query(
        `select realtime.publish('ledger:' || n % $3, 'ledger.entry', jsonb_build_object('n', n))
         from generate_series($1::integer, $2) as n order by n`,
        [from, to, channels],
      );
      await sleep(pauseMs);
    }
  } finally {
    await client.end();
  }
}

/** How many of the messages below `messages` are for it. */
const shareOf = ({ first, step }: LedgerEndpoint, messages: number): number => Math.ceil((messages - first) / step);

function isDone({ endpoint, acknowledged }: EndpointLedger, messages: number): boolean {
  return acknowledged.size >= shareOf(endpoint, Math.floor(messages));
}

async function settle(ledgers: readonly EndpointLedger[], messages: number, timeoutMs: number): Promise<string[]> {
  const settled = until(() => ledgers.every((ledger) => isDone(ledger, messages)), { timeoutMs, everyMs: 50 });
  return settled.then(
    () => [],
    () =>
      ledgers
        .filter((ledger) => !isDone(ledger, messages))
        .map(({ endpoint: { path, ...endpoint }, acknowledged }) => {
          const expected = shareOf({ path, ...endpoint }, messages);
          return `${path} received ${acknowledged.size} of ${expected} messages`;
        }),
  );
}

/** What was acknowledged last is counted a moment later. */
async function untilCounted(database: TestDatabase): Promise<string[]> {
  const open = async (): Promise<number> => {
    const [row] = await database.query<{ n: number }>(
      `select count(*)::integer as n from realtime.webhook_deliveries where state <> 'delivered'`,
    );
    return row?.n ?? 0;
  };
  const counted = until(async () => (await open()) === 0, { timeoutMs: 5_000, everyMs: 50 });
  return counted.then(
    () => [],
    async () => [`${await open()} deliveries are not marked as delivered`],
  );
}

/** Every endpoint has acknowledged every message of its own: the counts have to say the same, message by message and in sum. */
async function judge(
  database: TestDatabase,
  ledgers: readonly EndpointLedger[],
  { messages }: WebhookLedgerOptions,
): Promise<string[]> {
  const rows = await database.query<{ n: number; audience: number; delivered: number }>(
    `select (payload ->> 'n')::integer as n, wh_audience_count as audience, wh_delivered_count as delivered
     from realtime.messages order by id`,
  );
  const audienceOf = (n: number): number =>
    ledgers.filter(({ endpoint: { first, step } }) => n >= first && (n - first) % step === 0).length;
  const isWrong = ({ n, audience, delivered }: (typeof rows)[number]): boolean =>
    audience !== audienceOf(n) || delivered !== audience;
  const wrong = rows.filter(isWrong).slice(0, SOME);
  const [sums] = await database.query(
    `select sum(wh_audience_count)::integer as audience, sum(wh_delivered_count)::integer as delivered
     from realtime.message_counts where width_s = 60 and source = 'messages' and not is_removed`,
  );
  const sum = ledgers.reduce((all, { endpoint }) => all + shareOf(endpoint, messages), 0);
  const expected = { audience: sum, delivered: sum };
  const overlaps = await database.query(
    `select a.delivery_id, a.attempt from realtime.webhook_attempts a
       join realtime.webhook_attempts b on b.delivery_id = a.delivery_id and b.attempt = a.attempt + 1
     where a.started_at + a.duration_ms * interval '1 ms' > b.started_at + interval '5 ms' limit ${SOME}`,
  );
  return [
    ...wrong.map((row) => `history miscounts ${JSON.stringify(row)}`),
    ...(JSON.stringify(sums) === JSON.stringify(expected) ? [] : [`statistics hold ${JSON.stringify(sums)}`]),
    ...overlaps.map((row) => `attempts overlap: ${JSON.stringify(row)}`),
  ];
}

function firstViolations({ violations }: EndpointLedger): readonly string[] {
  const more = violations.length - SOME;
  return more > 0 ? [...violations.slice(0, SOME), `and ${more} more`] : violations;
}

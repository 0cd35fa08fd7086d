// Owns the oracle of kills: a server under write load is killed again and again, and what its clients got,
// what it acknowledged and what history holds is compared with an independent decoding of the same WAL.
// It returns what it finds wrong instead of throwing, so that a test can show that a planted bug is found.

import { setTimeout as sleep } from 'node:timers/promises';
import { mintFor } from '../../scripts/tools/mint.ts';
import type { SecretConfig } from '../../server/config/stored-secret.ts';
import { migrateDatabase } from '../app/test-app.ts';
import { type ChangeFrame, TestClient } from '../app/test-client.ts';
import type { TestDatabase, TestPostgres } from '../rig/postgres.ts';
import { until } from '../rig/until.ts';
import { type Committed, committedOf, countHistory, readHistory, readMiscounts } from './history-ledger.ts';
import type { Plant } from './plant.ts';
import { ServerProcess, serverEnvironment } from './server-process.ts';
import { createOracleSlot, type OracleChange, readOracle } from './wal-oracle.ts';
import { LOADED_CHANNEL, LOADED_TABLES, startWriteLoad } from './write-load.ts';

export type KillOracleOptions = {
  readonly postgres: TestPostgres;
  readonly kills: number;
  readonly random: () => number;
  readonly plant?: Plant | undefined;
  readonly env?: Readonly<Record<string, string>> | undefined;
  /** How long the last server may take to bring history up to date. */
  readonly settleMs: number;
};

export type KillOracleReport = {
  /** What is wrong; empty if all promises were kept. */
  readonly violations: readonly string[];
  readonly committed: number;
  readonly received: number;
  /** Received more than once, by clients of different servers. */
  readonly repeated: number;
  /** Committed but not acknowledged at a kill: what had to be sent again, all kills together. */
  readonly sentAgain: number;
};

/** What was true right after a kill. */
type Kill = {
  readonly epoch: number;
  readonly confirmed: bigint;
  readonly handled: bigint;
  readonly mayAck: bigint;
  /** The end of WAL a moment later. */
  readonly walEnd: bigint;
  /** Rows in history at or below `handled`. */
  readonly journaled: number;
};

/** What one client saw of one server: from where on, by channel, and what came. */
type Life = { readonly subscribedAt: Readonly<Record<string, string>>; readonly changes: readonly ChangeFrame[] };

const WRITERS = 4;
const QUIET = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };

export async function runKillOracle(options: KillOracleOptions): Promise<KillOracleReport> {
  const { postgres, kills, random, plant } = options;
  await using database = await postgres.createMigrated();
  const { env, config } = serverEnvironment(database, options.env);
  await migrateDatabase(database.url, config, QUIET);
  await database.query(LOADED_TABLES);
  await firstStart(env);
  await createOracleSlot(database);
  const load = await startWriteLoad(database, WRITERS, random);
  const died: Kill[] = [];
  const lives: Life[] = [];
  for (let kill = 0; kill < kills; kill++) {
    await using server = ServerProcess.spawn(env, plant);
    const client = subscribeTo(server, config);
    if (plant === undefined) await waitForMoment(server, random);
    else await waitForAcknowledgement(server, database, random);
    await server.killed();
    lives.push(...(await client.ended()));
    died.push(await afterKill(database));
  }
  await using last = ServerProcess.spawn(env, plant);
  const client = subscribeTo(last, config);
  await last.greeted();
  await load.stop();
  const oracle = await readOracle(database);
  const settled = await settle(database, oracle.length, options.settleMs);
  await last.killed();
  lives.push(...(await client.ended()));
  const violations = [...settled, ...(await judge(database, oracle, died, lives))];
  return { violations, committed: oracle.length, ...countReceived(lives), sentAgain: sentAgain(oracle, died) };
}

// The server's own slot holds what commits from its first start on.
async function firstStart(env: Readonly<Record<string, string>>): Promise<void> {
  await using server = ServerProcess.spawn(env);
  await server.greeted();
  await server.stop();
}

// Some moments fall into the start, most into the work.
async function waitForMoment(server: ServerProcess, random: () => number): Promise<void> {
  if (random() < 0.75) await server.greeted();
  await sleep(20 + random() * 900);
}

// A planted bug shows only where something was acknowledged: on a slow machine that may take longer than a moment.
async function waitForAcknowledgement(
  server: ServerProcess,
  database: TestDatabase,
  random: () => number,
): Promise<void> {
  const confirmed = async (): Promise<string | undefined> => {
    const rows = await database.query<{ lsn: string }>(
      'select confirmed_flush_lsn::text as lsn from pg_replication_slots where slot_name = $1',
      [database.slot],
    );
    return rows[0]?.lsn;
  };
  const before = await confirmed();
  await server.greeted();
  // Some bugs let nothing be acknowledged any more.
  await until(async () => (await confirmed()) !== before, { timeoutMs: 5_000 }).catch(() => undefined);
  await sleep(20 + random() * 300);
}

/** Subscribes as soon as the server greets; `ended` gives what came, once the server is gone. */
function subscribeTo(server: ServerProcess, config: SecretConfig): { ended(): Promise<Life[]> } {
  const token = mintFor(config, { role: 'service_role', sub: 'oracle', expiresInMs: 3_600_000 });
  const connecting = (async (): Promise<{ client: TestClient; subscribedAt: Life['subscribedAt'] } | undefined> => {
    await until(() => server.isGreeted || server.exit !== undefined, { timeoutMs: 30_000 });
    if (server.exit !== undefined) return undefined;
    const client = await TestClient.connect(`ws://127.0.0.1:${await server.greeted()}/realtime`, token);
    const table = String((await client.subscribe('db:load')).position);
    const topic = String((await client.subscribe(LOADED_CHANNEL)).position);
    return { client, subscribedAt: { 'db:load': table, [LOADED_CHANNEL]: topic } };
  })().catch(() => undefined); // killed while it connected
  return {
    ended: async () => {
      const connected = await connecting;
      if (connected === undefined) return [];
      await until(() => connected.client.closeCode !== undefined, { what: 'the socket to end' });
      return [{ subscribedAt: connected.subscribedAt, changes: connected.client.changes() }];
    },
  };
}

async function afterKill(database: TestDatabase): Promise<Kill> {
  const [row] = await until(
    async () => {
      const rows = await database.query<{ confirmed: string }>(
        `select (confirmed_flush_lsn - '0/0')::text as confirmed from pg_replication_slots where slot_name = $1 and not active`,
        [database.slot],
      );
      return rows.length === 1 ? rows : undefined;
    },
    { what: 'the slot to be let go' },
  );
  // One statement, so that all of it is of one moment; a journal backend may still be committing before it.
  const [mark] = await until(async () => {
    const rows = await database.query<Record<'epoch' | 'handled' | 'may_ack' | 'wal_end' | 'journaled', string>>(`
      select c.epoch, (c.handled - '0/0')::text as handled, (c.may_ack - '0/0')::text as may_ack,
        (pg_current_wal_lsn() - '0/0')::text as wal_end,
        (select count(*) from (
           select position from realtime.changes union all
           select position from realtime.messages where position is not null) as p
         where split_part(position, '-', 2) <= to_hex16) as journaled
      from realtime.checkpoint as c,
        lateral (select lpad(to_hex((c.handled - '0/0')::bigint), 16, '0') as to_hex16) as h
      where not exists (select from pg_stat_activity where datname = current_database() and application_name = 'rowcast journal')`);
    return rows.length === 1 ? rows : undefined;
  });
  if (row === undefined || mark === undefined) throw new Error('no slot or no checkpoint');
  return {
    epoch: Number(mark.epoch),
    confirmed: BigInt(row.confirmed),
    handled: BigInt(mark.handled),
    mayAck: BigInt(mark.may_ack),
    walEnd: BigInt(mark.wal_end),
    journaled: Number(mark.journaled),
  };
}

async function settle(database: TestDatabase, rows: number, timeoutMs: number): Promise<string[]> {
  const count = (): Promise<number> => countHistory(database);
  const isSettled = until(async () => (await count()) === rows, { timeoutMs, everyMs: 50 });
  return isSettled.then(
    () => [],
    async () => [`history holds ${await count()} rows of ${rows}`],
  );
}

async function judge(
  database: TestDatabase,
  oracle: readonly OracleChange[],
  died: readonly Kill[],
  lives: readonly Life[],
): Promise<string[]> {
  const [checkpoint] = await database.query<{ epoch: string }>('select epoch from realtime.checkpoint');
  const epoch = Number(checkpoint?.epoch);
  const expected = oracle.map((change) => committedOf(epoch, change));
  return [
    ...judgeKills(oracle, died, epoch),
    ...lives.flatMap((life, index) => judgeLife(expected, life, index)),
    ...firstDifference('history', expected, await readHistory(database)),
    ...(await readMiscounts(database)),
  ];
}

function judgeKills(oracle: readonly OracleChange[], died: readonly Kill[], epoch: number): string[] {
  return died.flatMap((kill, index) => {
    const lost = oracle.filter(({ lsn }) => lsn < kill.confirmed && lsn > kill.handled).length;
    const handled = oracle.filter(({ lsn }) => lsn <= kill.handled).length;
    return [
      ...(kill.epoch === epoch ? [] : [`kill ${index + 1}: the epoch changed afterwards`]),
      ...(kill.confirmed <= kill.mayAck ? [] : [`kill ${index + 1}: confirmed above may_ack`]),
      ...(lost === 0 ? [] : [`kill ${index + 1}: ${lost} rows were acknowledged and not journaled`]),
      ...(handled === kill.journaled
        ? []
        : [`kill ${index + 1}: ${kill.journaled} of ${handled} handled rows in history`]),
    ];
  });
}

// From where it subscribed to the last that it got, a client misses nothing and gets nothing twice.
function judgeLife(expected: readonly Committed[], { subscribedAt, changes }: Life, index: number): string[] {
  const last = changes.at(-1)?.position ?? '';
  const due = expected
    .filter(({ channel, position }) => position > (subscribedAt[channel] ?? '') && position <= last)
    .map(({ position, event, values }) => ({ position, event, id: values.id }));
  const got = changes.map(({ position, channel, event, messageId, payload }) => {
    const id = channel === LOADED_CHANNEL ? messageId : String((payload.new ?? payload.old)?.id);
    return { position, event, id };
  });
  return firstDifference(`client ${index + 1}`, due, got);
}

function firstDifference(what: string, expected: readonly object[], actual: readonly object[]): string[] {
  const length = Math.max(expected.length, actual.length);
  for (let at = 0; at < length; at++) {
    const [wanted, found] = [JSON.stringify(expected[at]), JSON.stringify(actual[at])];
    if (wanted !== found) {
      return [
        `${what}: ${actual.length} of ${expected.length}, first difference at ${at}: ${found}, expected ${wanted}`,
      ];
    }
  }
  return [];
}

function countReceived(lives: readonly Life[]): { readonly received: number; readonly repeated: number } {
  const all = lives.flatMap(({ changes }) => changes.map(({ position }) => position));
  const distinct = new Set(all).size;
  return { received: distinct, repeated: all.length - distinct };
}

function sentAgain(oracle: readonly OracleChange[], died: readonly Kill[]): number {
  return died.reduce(
    (sum, { confirmed, walEnd }) => sum + oracle.filter(({ lsn }) => lsn > confirmed && lsn < walEnd).length,
    0,
  );
}

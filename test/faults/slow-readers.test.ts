// Readers that stop reading, take a byte a second or never answer a ping, among readers that do well: they cost no
// more than their bounds, hold up neither the slot nor anybody else, and are whole once they come back.

import { expect, it } from 'vitest';
import { mintFor } from '../../scripts/tools/mint.ts';
import { migrateDatabase } from '../app/test-app.ts';
import { newestPostgres, type TestDatabase } from '../rig/postgres.ts';
import { figure, isSoak, scaled } from '../rig/scale.ts';
import { until } from '../rig/until.ts';
import type { ReaderReport } from './raw-reader.ts';
import { Readers } from './readers.ts';
import { ServerProcess, serverEnvironment } from './server-process.ts';

const TABLES = `
  create table wide (n int primary key, body text);
  create table narrow (n int primary key);
  select realtime.watch('wide'), realtime.watch('narrow')`;
const QUIET = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };
/** Pings soon, and time enough for a busy machine to answer. */
const ENV = { ROWCAST_PING_INTERVAL: '1s', ROWCAST_PONG_TIMEOUT: '3s', ROWCAST_MAX_AHEAD: '16MiB' };

const WELL = names('well', 97);
const [STALLED, TRICKLING, MUTE] = ['stalled', 'trickling', 'mute'] as const;
const BAD = [STALLED, TRICKLING, MUTE];

/** A wide row is a message of about 8 KB. */
const WIDE = scaled(3_000, 60_000);
const REPLAYED = scaled(2_000, 60_000);
const TRANSACTION_ROWS = 40;
const TIMEOUT_MS = scaled(60_000, 300_000);
/**
 * Three sockets at eight times their bound, what may wait for the journal, and what a collector leaves lying: much less
 * than what the bad ones are sent in the long form.
 */
const GROWTH_MIB = 3 * 8 + 16 + 120;

it(
  'among a hundred they are cut at their bound, the slot goes on, and each is whole when it comes back',
  async () => {
    await using stage = await Stage.open();
    const { server, readers } = stage;
    await readers.subscribe(WELL, stage.to('db:narrow'));
    await readers.subscribe([STALLED], stage.to('db:wide'));
    await readers.subscribe([TRICKLING], { ...stage.to('db:wide'), manner: 'trickling' });
    await readers.subscribe([MUTE], { ...stage.to('db:wide'), manner: 'mute' });
    await stage.write(TRANSACTION_ROWS);
    await readers.have([...WELL, STALLED, MUTE], 1, TIMEOUT_MS);
    await readers.stall(STALLED);
    const idle = server.memory();

    await stage.write(WIDE - TRANSACTION_ROWS);
    await readers.have([MUTE], WIDE, TIMEOUT_MS);
    expectWhole(await readers.have(WELL, WIDE / TRANSACTION_ROWS, TIMEOUT_MS), WELL, WIDE / TRANSACTION_ROWS);
    await stage.untilConfirmed();
    const everything = WIDE + 1;
    // As too slow or as dead, whichever comes first.
    await until(async () => (await stage.connections()) === WELL.length, {
      what: 'the bad ones to be cut',
      timeoutMs: TIMEOUT_MS,
      everyMs: 50,
    });
    await until(async () => find(await readers.reports(), MUTE).closeCode === 4408, {
      what: 'the mute one to hear why',
    });
    const memory = server.memory();
    const growthMiB = (memory?.peakMiB ?? 0) - (idle?.nowMiB ?? 0);
    const before = await readers.reports();
    expect(find(before, STALLED).messages).toBeLessThan(WIDE);

    await readers.again(BAD);
    const after = await readers.have(BAD, everything, TIMEOUT_MS);
    expectWhole(after, BAD, everything);
    expect(BAD.map((name) => find(after, name).recovered)).toEqual([true, true, true]);
    const tooSlow = server.logs.filter(({ msg }) => msg.startsWith('reader too slow')).length;
    figure(
      `slow readers: ${tooSlow} were cut as too slow; of ${WIDE} rows the stalled one had ${find(before, STALLED).messages}, the one at 1 B/s ` +
        `${find(before, TRICKLING).bytes} bytes; RSS idle ${idle?.nowMiB} MiB, peak ${memory?.peakMiB} MiB`,
    );
    expect(growthMiB).toBeLessThan(GROWTH_MIB);
  },
  TIMEOUT_MS * 2,
);

it.runIf(isSoak)(
  'while they are sent what they missed, they hold back neither others nor the slot, however many they are',
  async () => {
    await using stage = await Stage.open();
    const { server, readers } = stage;
    const channel = stage.to('db:wide');
    await readers.subscribe(['first'], channel);
    await stage.write(REPLAYED);
    const [first] = await readers.have(['first'], REPLAYED, TIMEOUT_MS);
    const since = first?.firstPosition ?? undefined;
    const idle = server.memory();

    // More than may read the database at once, and nobody of them takes what was read.
    const stuck = [STALLED, ...names('stuck', 32)];
    await readers.subscribe(stuck, { ...channel, since, manner: 'stalled' });
    await readers.subscribe([TRICKLING], { ...channel, since, manner: 'trickling' });
    await readers.subscribe([MUTE], { ...channel, since, manner: 'mute' });
    await readers.subscribe(['late'], { ...channel, since });
    await stage.untilConfirmed();
    // `since` itself is not sent again, and one row came after all.
    expectWhole(await readers.have(['late', 'first'], REPLAYED, TIMEOUT_MS), ['late'], REPLAYED);
    expectWhole(await readers.have(['first'], REPLAYED + 1, TIMEOUT_MS), ['first'], REPLAYED + 1);
    const memory = server.memory();

    await readers.again(BAD);
    const after = await readers.have(BAD, REPLAYED, TIMEOUT_MS);
    expectWhole(after, BAD, REPLAYED);
    figure(
      `slow replays: ${stuck.length + 2} replays that nobody read; RSS before ${idle?.nowMiB} MiB, then ` +
        `${memory?.nowMiB} MiB, peak ${memory?.peakMiB} MiB`,
    );
    expect((memory?.nowMiB ?? 0) - (idle?.nowMiB ?? 0)).toBeLessThan(GROWTH_MIB);
  },
  TIMEOUT_MS * 2,
);

/** A server of its own over a database of its own, and readers in a third process. */
class Stage implements AsyncDisposable {
  readonly database: TestDatabase;
  readonly server: ServerProcess;
  readonly readers: Readers;
  readonly #port: number;
  readonly #token: string;
  #written = 0;
  #markers = 0;

  static async open(): Promise<Stage> {
    const database = await newestPostgres().createMigrated();
    const { env, config } = serverEnvironment(database, ENV);
    await migrateDatabase(database.url, config, QUIET);
    await database.query(TABLES);
    const server = ServerProcess.spawn(env);
    const port = await server.greeted();
    return new Stage(
      database,
      server,
      port,
      mintFor(config, { role: 'service_role', sub: 'a', expiresInMs: 3_600_000 }),
    );
  }

  private constructor(database: TestDatabase, server: ServerProcess, port: number, token: string) {
    this.database = database;
    this.server = server;
    this.readers = new Readers();
    this.#port = port;
    this.#token = token;
  }

  to(channel: string): { port: number; token: string; channel: string } {
    return { port: this.#port, token: this.#token, channel };
  }

  /** How many the server has. */
  async connections(): Promise<number> {
    const metrics = await (await fetch(`http://127.0.0.1:${this.#port}/metrics`)).text();
    return Number(/^rowcast_connections (\d+)$/m.exec(metrics)?.[1]);
  }

  /** Writes so many wide rows in small transactions, and one narrow row in each. */
  async write(rows: number): Promise<void> {
    const client = await this.database.connect();
    for (let n = 0; n < rows; n += TRANSACTION_ROWS) {
      await client.query(`
        with wide as (
          insert into wide select ${this.#written} + n, repeat('x', 8000) from generate_series(${n}, ${n + TRANSACTION_ROWS - 1}) as n
        )
        insert into narrow values (${this.#written + n})`);
    }
    this.#written += rows;
    await client.end();
  }

  /**
   * Writes one narrow and one wide row more, and waits until the slot has let go of all WAL before them. What is behind
   * the last commit, the journal's own writing, may stay.
   */
  async untilConfirmed(): Promise<void> {
    const { database } = this;
    const [row] = await database.query<{ lsn: string }>('select pg_current_wal_lsn()::text as lsn');
    this.#markers += 1;
    await database.query('with w as (insert into wide values ($1)) insert into narrow values ($1)', [-this.#markers]);
    const sql = 'select from pg_replication_slots where slot_name = $1 and confirmed_flush_lsn >= $2';
    await until(async () => (await database.query(sql, [database.slot, row?.lsn])).length === 1, {
      what: 'the slot to advance',
      timeoutMs: TIMEOUT_MS,
      everyMs: 50,
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.readers[Symbol.asyncDispose]();
    await this.server[Symbol.asyncDispose]();
    await this.database[Symbol.asyncDispose]();
  }
}

function names(kind: string, count: number): string[] {
  return Array.from({ length: count }, (_, index) => `${kind} ${index + 1}`);
}

function find(reports: readonly ReaderReport[], name: string): ReaderReport {
  const report = reports.find((each) => each.name === name);
  if (report === undefined) throw new Error(`there is no reader ${name}`);
  return report;
}

function expectWhole(reports: readonly ReaderReport[], wanted: readonly string[], messages: number): void {
  expect(reports.filter(({ name }) => wanted.includes(name))).toEqual(
    wanted.map((name) => expect.objectContaining({ name, messages, disorders: 0, isEnded: false })),
  );
}

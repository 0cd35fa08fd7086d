// Many rows at once: everything arrives at everyone who reads, in order and once, in bounded memory, and
// somebody who does not read is cut without holding up the others for longer than the bound.

import { expect, it } from 'vitest';
import { mintFor } from '../../scripts/tools/mint.ts';
import { migrateDatabase } from '../app/test-app.ts';
import { newestPostgres, type TestDatabase } from '../rig/postgres.ts';
import { figure, scaled } from '../rig/scale.ts';
import { until } from '../rig/until.ts';
import type { ReaderReport } from './raw-reader.ts';
import { Readers } from './readers.ts';
import { ServerProcess, serverEnvironment } from './server-process.ts';

const HEALTHY = Array.from({ length: 10 }, (_, index) => `reader ${index + 1}`);
const STALLED = 'the stalled one';
const TABLE = `create table posts (id int primary key, title text, body text); select realtime.watch('posts')`;
const ROWS = `insert into posts select n, 'New Post ' || n, repeat('x', 60) from generate_series($1::int, $2::int) as n`;
const QUIET = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };
/** Above what the server holds when idle: one journal bound, ten outboxes, and what a collector leaves lying. */
const PEAK_MIB = 600;

const HUGE = scaled(100_000, 1_000_000);
const HUGE_TIMEOUT_MS = scaled(60_000, 300_000);

it(
  '6,000 rows of one statement, then one huge transaction, arrive at ten readers, in order and once',
  async () => {
    await using database = await newestPostgres().createMigrated();
    const { env, config } = await prepared(database);
    await using server = ServerProcess.spawn(env);
    const port = await server.greeted();
    await using readers = new Readers();
    const token = mintFor(config, { role: 'service_role', sub: 'admin', expiresInMs: 3_600_000 });
    await readers.subscribe(HEALTHY, { port, token, channel: 'db:posts' });
    const idle = server.memory();

    await database.query(ROWS, [1, 6_000]);
    const small = await readers.have(HEALTHY, 6_000, 20_000);
    expectWhole(small, HEALTHY, 6_000, 1);

    const startedAt = performance.now();
    await database.query(ROWS, [6_001, 6_000 + HUGE]);
    const committedAt = performance.now();
    const all = await readers.have(HEALTHY, 6_000 + HUGE, HUGE_TIMEOUT_MS);
    const tookMs = performance.now() - committedAt;
    expectWhole(all, HEALTHY, 6_000 + HUGE, 2);
    const memory = server.memory();
    figure(
      `burst: ${HUGE} rows in one transaction (written in ${Math.round(committedAt - startedAt)} ms) reached 10 readers ` +
        `${Math.round(tookMs)} ms after the commit, ${Math.round((HUGE * 10) / (tookMs / 1000))} messages/s, ` +
        `${Math.round(all.reduce((sum, { bytes }) => sum + bytes, 0) / 2 ** 20)} MiB; ` +
        `server RSS idle ${idle?.nowMiB} MiB, peak ${memory?.peakMiB} MiB`,
    );
    expect(memory?.peakMiB ?? 0).toBeLessThan(PEAK_MIB);
    await expectHistory(database, 6_000 + HUGE);
    expect(await server.stop()).toEqual({ code: 0, signal: null });
  },
  HUGE_TIMEOUT_MS * 2,
);

it(
  'a reader that stalls is closed with 4490 and holds the others up for no longer than its bound',
  async () => {
    await using database = await newestPostgres().createMigrated();
    const { env, config } = await prepared(database);
    await using server = ServerProcess.spawn(env);
    const port = await server.greeted();
    await using readers = new Readers();
    const token = mintFor(config, { role: 'service_role', sub: 'admin', expiresInMs: 3_600_000 });
    await readers.subscribe([...HEALTHY, STALLED], { port, token, channel: 'db:posts' });
    await readers.stall(STALLED);

    const written = database.query(ROWS, [1, HUGE]);
    await until(() => server.logs.some(({ msg }) => msg.startsWith('reader too slow')), {
      what: 'the cut',
      timeoutMs: HUGE_TIMEOUT_MS,
    });
    // It reads again, so that it sees the close frame behind what the kernel still holds.
    await readers.resume(STALLED);
    await written;
    const all = await readers.have([...HEALTHY, STALLED], HUGE, HUGE_TIMEOUT_MS);
    const whole = all.filter(({ name }) => name !== STALLED);
    const stalled = all.find(({ name }) => name === STALLED);
    expectWhole(whole, HEALTHY, HUGE, 1);
    expect(stalled).toMatchObject({ closeCode: 4490, disorders: 0 });
    figure(
      `stalled: closed 4490 after ${stalled?.messages} messages; the ten others had all ${HUGE}, ` +
        `longest silence ${longestSilence(whole)} ms (bound ${config.socket.maxQueuedMs} ms); server RSS peak ${server.memory()?.peakMiB} MiB`,
    );
    expect(longestSilence(whole)).toBeLessThan(config.socket.maxQueuedMs);
    expect(await server.stop()).toEqual({ code: 0, signal: null });
  },
  HUGE_TIMEOUT_MS * 2,
);

async function prepared(database: TestDatabase): Promise<ReturnType<typeof serverEnvironment>> {
  const environment = serverEnvironment(database);
  await migrateDatabase(database.url, environment.config, QUIET);
  await database.query(TABLE);
  return environment;
}

function expectWhole(
  reports: readonly ReaderReport[],
  names: readonly string[],
  rows: number,
  transactions: number,
): void {
  expect(reports).toEqual(
    names.map((name) =>
      expect.objectContaining({ name, messages: rows, disorders: 0, transactions, closeCode: null, isEnded: false }),
    ),
  );
}

function longestSilence(reports: readonly ReaderReport[]): number {
  return Math.max(...reports.map(({ longestSilenceMs }) => longestSilenceMs));
}

async function expectHistory(database: TestDatabase, rows: number): Promise<void> {
  const count = 'select count(*)::int as n, count(distinct position)::int as positions from realtime.changes';
  await until(async () => (await database.query<{ n: number }>(count))[0]?.n === rows, {
    what: 'history',
    timeoutMs: 60_000,
    everyMs: 200,
  });
  expect(await database.query(count)).toEqual([{ n: rows, positions: rows }]);
}

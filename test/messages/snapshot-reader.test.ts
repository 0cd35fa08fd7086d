// A snapshot is one instant, is read as slowly as its reader likes, and is over when it has to be.

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { must } from '../../server/lib/assert.ts';
import type { SnapshotChunk } from '../../server/messages/snapshot-rows.ts';
import { type MigratedDatabase, migratedDatabase } from '../db/migrated.ts';
import { openSnapshotStage, type Reader, rowsOf, type SnapshotStage } from '../delivery/snapshot-stage.ts';
import { describeEachPostgres, newestPostgres } from '../rig/postgres.ts';
import { until } from '../rig/until.ts';

const ADMIN: Reader = { role: 'service_role' };
const USER: Reader = { role: 'authenticated', claims: { sub: 'ann' } };

describeEachPostgres('an open snapshot', (postgres) => {
  let host: MigratedDatabase;
  let stage: SnapshotStage;
  beforeAll(async () => {
    host = await migratedDatabase(postgres);
    stage = await openSnapshotStage(host);
    await host.sql('create table notes (id int primary key, body text)');
    await host.sql('grant select on notes to authenticated');
    await host.sql(`insert into notes select i, 'note ' || i from generate_series(1, 500) i`);
  });
  afterAll(async () => {
    await stage[Symbol.asyncDispose]();
    await host.close();
  });

  /** Sessions that hold a snapshot open. */
  const inTransaction = async (): Promise<number> => {
    const sql = `select from pg_stat_activity where datname = current_database() and application_name in ('own', 'snapshots')
      and (xact_start is not null or state <> 'idle')`;
    return (await host.sql(sql)).length;
  };
  const untilNoneIsOpen = () => until(async () => (await inTransaction()) === 0, { what: 'no snapshot to be open' });
  /** Makes a table with one policy for `authenticated`. */
  const policed = async (name: string, using: string): Promise<void> => {
    await host.sql(`create table ${name} as select i as id from generate_series(1, 100) i`);
    await host.sql(`grant select on ${name} to authenticated; alter table ${name} enable row level security`);
    await host.sql(`create policy p on ${name} using (${using})`);
  };

  it('has nothing that commits after it was opened, and says so', async () => {
    const touch = async (): Promise<bigint> => {
      const rows = await host.sql<{ xid: bigint }>(
        'update notes set body = body returning pg_current_xact_id() as xid',
      );
      return must(rows[0], 'a row').xid;
    };
    const before = await touch();
    const snapshot = await stage.opened('db:notes', USER, { chunkBytes: 100 });
    const after = await touch();
    await host.sql(`insert into notes values (501, 'late')`);
    const rows: string[] = [];
    for (let chunk = await snapshot.next(); chunk !== undefined; chunk = await snapshot.next())
      rows.push(...rowsOf(chunk));
    expect(rows).toHaveLength(500);
    expect([before, after].map((xid) => snapshot.contains.contains(xid))).toEqual([true, false]);
    await host.sql('delete from notes where id = 501');
    await untilNoneIsOpen();
  });

  it('comes in chunks of the size that was asked for', async () => {
    const snapshot = await stage.opened('db:notes', ADMIN, { chunkBytes: 1000 });
    const chunks: SnapshotChunk[] = [];
    for (let chunk = await snapshot.next(); chunk !== undefined; chunk = await snapshot.next()) chunks.push(chunk);
    expect(Math.max(...chunks.map(({ rows }) => rows.length))).toBeLessThan(1100);
    expect(chunks.flatMap(rowsOf)).toHaveLength(500);
    expect(await snapshot.next()).toBeUndefined();
  });

  it('of an empty table has no chunk', async () => {
    await host.sql('create table nothing (id int)');
    expect((await stage.read('db:nothing', ADMIN)).rows).toEqual([]);
  });

  it('lets the database go when its last row is read, and not only when it is closed', async () => {
    const snapshot = await stage.opened('db:notes', USER, { chunkBytes: 1024 * 1024 });
    while ((await snapshot.next()) !== undefined);
    await untilNoneIsOpen();
    await snapshot.close();
    await snapshot.close();
  });

  it('lets the database go when it is closed in the middle', async () => {
    const snapshot = await stage.opened('db:notes', USER, { chunkBytes: 10 });
    await snapshot.next();
    expect(await inTransaction()).toBe(1);
    await snapshot.close();
    await untilNoneIsOpen();
    expect(await snapshot.next()).toBeUndefined();
  });

  it('waits for transactions that were delivered and are not visible yet', async () => {
    const writer = await host.database.connect();
    await writer.query('begin');
    const { rows } = await writer.query<{ xid: string }>('select pg_current_xact_id()::text as xid');
    await writer.query(`insert into notes values (600, 'awaited')`);
    const low32 = Number(BigInt.asUintN(32, BigInt(must(rows[0], 'an xid').xid)));
    const reading = stage.read('db:notes', { ...USER, where: { id: 600 } }, { awaited: [low32] });
    await until(inTransaction, { what: 'the snapshot to be tried' });
    await writer.query('commit');
    expect((await reading).rows).toEqual(['{"id":600,"body":"awaited"}']);
    await host.sql('delete from notes where id = 600');
    await writer.end();
  });

  it('is given up when they stay invisible', async () => {
    const writer = await host.database.connect();
    await writer.query('begin');
    const { rows } = await writer.query<{ xid: string }>('select pg_current_xact_id()::text as xid');
    const statement = must(await stage.plan('db:notes', USER), 'a statement');
    const awaited = [Number(must(rows[0], 'an xid').xid)];
    expect(await stage.open(statement, { awaited, maxMs: 100 })).toEqual({
      ok: false,
      message: expect.stringMatching(/in time/),
    });
    await writer.end();
    await untilNoneIsOpen();
  });

  it('is over when its time is, although its reader waits', async () => {
    const snapshot = await stage.opened('db:notes', USER, { chunkBytes: 10, maxMs: 200 });
    await untilNoneIsOpen();
    const rest = async () => {
      while ((await snapshot.next()) !== undefined);
    };
    await expect(rest()).rejects.toThrow('a snapshot took longer than it may');
    await snapshot.close();
  });

  it('is over when it is aborted, while it is opened and after', async () => {
    const aborting = new AbortController();
    const snapshot = await stage.opened('db:notes', USER, { chunkBytes: 10, signal: aborting.signal });
    await policed('slow_to_open', 'pg_sleep(60) is not null');
    const statement = must(await stage.plan('db:slow_to_open', USER), 'a statement');
    const opening = stage.open(statement, { signal: aborting.signal });
    aborting.abort(new Error('the server stops'));
    await expect(opening).rejects.toThrow('the server stops');
    await until(async () => (await snapshot.next().then(() => undefined, String)) === 'Error: the server stops');
    await host.sql(
      `select pg_terminate_backend(pid) from pg_stat_activity where query like 'fetch%' and state = 'active'`,
    );
    await untilNoneIsOpen();
  });

  it('is denied where a policy raises, which is logged and not told', async () => {
    await policed('raising', `id / (id - 50) > 0`);
    const statement = must(await stage.plan('db:raising', USER), 'a statement');
    const refused = await stage.open(statement, { chunkBytes: 1024 * 1024 });
    expect(refused).toEqual({ ok: false, message: 'The table may not be read, or a policy failed' });
    expect(stage.log.lines.at(-1)).toMatchObject({ level: 'warn', fields: { reason: 'division by zero' } });
    await untilNoneIsOpen();
  });

  it('fails where a policy raises later on', async () => {
    await host.sql(
      `create table raising_late as select i as id, repeat('x', 100) as body from generate_series(1, 5000) i`,
    );
    await host.sql(`grant select on raising_late to authenticated; alter table raising_late enable row level security`);
    await host.sql(`create policy p on raising_late using (id / (id - 4000) is not null)`);
    const snapshot = await stage.opened('db:raising_late', USER, { chunkBytes: 1000 });
    const rest = async () => {
      while ((await snapshot.next()) !== undefined);
    };
    await expect(rest()).rejects.toThrow('division by zero');
    await untilNoneIsOpen();
  });

  it('is given up where a policy takes too long', async () => {
    await policed('slow', 'pg_sleep(60) is not null');
    const statement = must(await stage.plan('db:slow', USER), 'a statement');
    expect(await stage.open(statement, { maxMs: 200 })).toMatchObject({
      ok: false,
      message: expect.stringMatching(/in time/),
    });
    await untilNoneIsOpen();
  });

  it('is denied to roles outside of the allow-list, and to logins', async () => {
    const statement = must(await stage.plan('db:notes', USER), 'a statement');
    for (const role of ['postgres', 'none', 'service_role', '']) {
      expect(await stage.open({ ...statement, as: { role, claims: {} } })).toMatchObject({ ok: false });
    }
  });

  it('reads for admins without row security, or not at all', async () => {
    await policed('hidden', 'false');
    expect((await stage.read('db:hidden', ADMIN)).rows).toHaveLength(100);
    expect((await stage.read('db:hidden', USER)).rows).toEqual([]);
  });

  it('leaves nothing of its reader, nor of what a policy sets, to the next', async () => {
    await policed('setting', `set_config('request.jwt.claims', '{"sub":"eve"}', false) is not null`);
    expect((await stage.read('db:setting', USER)).rows).toHaveLength(100);
    const asked = `select current_user::text as who, current_setting('request.jwt.claims') as claims, current_setting('TimeZone') as zone`;
    const [, { pool }] = stage.pools as [unknown, (typeof stage.pools)[number]];
    const { rows } = await pool.query<{ who: string; claims: string }>(asked);
    expect(rows[0]).toMatchObject({ who: expect.stringMatching(/^rowcast_policies/), claims: '{}' });
  });

  it('has a row too large for a message with its key alone, and reads no value far larger', async () => {
    await host.sql('create table large (a text, id int primary key, b text, c jsonb)');
    await host.sql(`insert into large values ('x', 1, repeat('y', 500), '1'), ('x', 2, 'y', '2'), ('x', 3, repeat('y', 9000), '3'),
      ('x', 4, 'y', (select jsonb_agg(md5(i::text)) from generate_series(1, 5000) i)), (repeat('"', 300), 5, 'y', '5')`);
    const snapshot = await stage.opened('db:large', ADMIN, { maxRowBytes: 400 });
    const { rows, truncated } = must(await snapshot.next(), 'a chunk');
    expect(JSON.parse(Buffer.from(rows).toString())).toEqual([
      { id: 1 },
      { a: 'x', id: 2, b: 'y', c: 2 },
      { id: 3 },
      { id: 4 },
      { id: 5 },
    ]);
    expect(truncated).toEqual([0, 2, 3, 4]);
    await snapshot.close();
  });

  it('has no row twice nor none, however many there are at once', async () => {
    const reading = ['service_role', 'authenticated'].flatMap((role) => [
      stage.read('db:notes', { role }, { chunkBytes: 300 }),
      stage.read('db:notes', { role }, { chunkBytes: 300_000 }),
    ]);
    for (const { rows } of await Promise.all(reading)) {
      expect(new Set(rows.map((row) => JSON.parse(row).id)).size).toBe(500);
      expect(rows).toHaveLength(500);
    }
  });
});

describe('a snapshot of many rows', () => {
  const ROWS = 100_000;
  const ROW_BYTES = 640;

  it('is never in memory whole', async () => {
    await using host = await migratedDatabase(newestPostgres());
    await using stage = await openSnapshotStage(host);
    await host.sql(
      `create table many as select i as id, repeat(md5(i::text), ${ROW_BYTES / 32}) as body from generate_series(1, ${ROWS}) i`,
    );
    const snapshot = await stage.opened('db:many', ADMIN, { chunkBytes: 128 * 1024 });
    const inUse = (): number => process.memoryUsage().heapUsed + process.memoryUsage().arrayBuffers;
    const before = inUse();
    let most = before;
    let count = 0;
    let last: SnapshotChunk | undefined;
    for (let chunk = await snapshot.next(); chunk !== undefined; chunk = await snapshot.next()) {
      last = chunk;
      count += chunk.count;
      most = Math.max(most, inUse());
    }
    expect(count).toBe(ROWS);
    expect(last?.rows.length).toBeLessThan(128 * 1024 + 2 * ROW_BYTES);
    expect((most - before) / (ROWS * ROW_BYTES)).toBeLessThan(0.7);
  });
});

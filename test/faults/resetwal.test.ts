// Positions of a database that has written more than four gigabytes, than a double can count, and than 63 bits: the
// WAL of a real one is moved there with pg_resetwal, which only Debian's packages have. Part of the soak.

import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from 'pg';
import { describe, expect, it } from 'vitest';
import { chooseRunner, runAs } from '../../scripts/embedded/account.ts';
import { findBinaries } from '../../scripts/embedded/binaries.ts';
import { type EmbeddedDatabase, startEmbedded } from '../../scripts/embedded/start-embedded.ts';
import { parsePosition } from '../../server/lib/position.ts';
import { startTestApp, type TestApp } from '../app/test-app.ts';
import { postgresOn } from '../rig/postgres.ts';
import { figure, isSoak } from '../rig/scale.ts';
import { until } from '../rig/until.ts';

const PROGRAM = '/usr/lib/postgresql/15/bin/pg_resetwal';
const isAbsent = !existsSync(PROGRAM);
if (isSoak && isAbsent) figure(`resetwal: skipped, there is no ${PROGRAM} (package postgresql-15 of Debian)`);

const POSTS = `create table posts (id serial primary key, title text); select realtime.watch('posts')`;
const INSERT = `insert into posts (title) values ('New Post')`;

describe.skipIf(!isSoak || isAbsent)('a database whose WAL passes', () => {
  it.each([
    ['2^32', 32n],
    ['2^53', 53n],
    ['2^63', 63n],
  ])(
    '%s keeps the order of positions, across restarts and resumes',
    async (_, bits) => {
      await using moved = await startBelow(1n << bits);
      const { version, url } = moved.cluster;
      await using app = await startTestApp(postgresOn({ version, url, origin: 'embedded' }), { sql: POSTS });
      const client = await app.client();
      await client.subscribe('db:posts');
      await writeAcross(app, 1n << bits);
      const changes = await client.received(4);
      const lsns = changes.map(({ position }) => parsePosition(position)?.lsn ?? 0n);
      figure(`resetwal: positions ${changes[0]?.position} to ${changes[3]?.position}`);
      expect(lsns.map((lsn) => lsn >= 1n << bits)).toEqual([false, false, true, true]);
      expect(lsns.toSorted((a, b) => (a < b ? -1 : 1))).toEqual(lsns);
      await until(async () => (await history(app)).length === 4, { what: 'history' });
      expect(await history(app)).toEqual(changes.map(({ position }) => position));
      await app.restart();
      await expectResumed(app, changes[0]?.position ?? '', 3);
      expect(app.logLines.filter(({ message }) => message === 'a new epoch begins')).toHaveLength(1);
    },
    120_000,
  );
});

/** Two changes below `boundary` and two above it. */
async function writeAcross({ database }: TestApp, boundary: bigint): Promise<void> {
  for (let n = 0; n < 2; n++) await database.query(INSERT);
  expect(await walEnd(database)).toBeLessThan(boundary);
  while ((await walEnd(database)) < boundary)
    await database.query('select pg_switch_wal(); create temp table t ();drop table t');
  for (let n = 0; n < 2; n++) await database.query(INSERT);
}

async function walEnd(database: TestApp['database']): Promise<bigint> {
  const [row] = await database.query<{ n: string }>(`select (pg_current_wal_lsn() - '0/0')::text as n`);
  return BigInt(row?.n ?? 0);
}

async function history({ database }: TestApp): Promise<string[]> {
  const rows = await database.query<{ position: string }>('select position from realtime.changes order by position');
  return rows.map(({ position }) => position);
}

async function expectResumed(app: TestApp, since: string, count: number): Promise<void> {
  const client = await app.client();
  expect(await client.subscribe('db:posts', { since })).toMatchObject({ recovered: true });
  await client.received(count);
}

type Moved = AsyncDisposable & { readonly cluster: EmbeddedDatabase };

/** A cluster that will write the last segments of WAL below `boundary`. */
async function startBelow(boundary: bigint): Promise<Moved> {
  const dataDir = mkdtempSync(join(tmpdir(), 'rowcast-faults-'));
  const options = { dataDir, version: 15, settings: { fsync: false, autovacuum: false } } as const;
  const first = await startEmbedded(options);
  await first.stop();
  await moveWal(join(dataDir, 'postgres15'), boundary);
  const cluster = await startEmbedded(options);
  const client = new Client({ connectionString: cluster.url });
  await client.connect();
  await client.query('checkpoint');
  await client.end();
  const dispose = async (): Promise<void> => {
    await cluster.stop();
    rmSync(dataDir, { recursive: true, force: true });
  };
  return { cluster, [Symbol.asyncDispose]: dispose };
}

/** Files of WAL are named by timeline, the upper half of the address, and the segment of 16 MiB in the lower half. */
async function moveWal(stateDir: string, boundary: bigint): Promise<void> {
  const start = boundary - 4n * 16n * 1024n * 1024n;
  const hex = (value: bigint): string => value.toString(16).toUpperCase().padStart(8, '0');
  const file = `${hex(1n)}${hex(start >> 32n)}${hex((start & 0xffff_ffffn) >> 24n)}`;
  const { account } = await chooseRunner(findBinaries(15), stateDir);
  const moved = await runAs(account, PROGRAM, ['-l', file, '-D', join(stateDir, 'data')]);
  if (moved.code !== 0) throw new Error(`pg_resetwal failed: ${moved.stderr}`);
}

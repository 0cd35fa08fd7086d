import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { mkdir, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { Client } from 'pg';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { isAlive, readLockFile } from '../../scripts/embedded/postmaster.ts';
import { type EmbeddedOptions, startEmbedded } from '../../scripts/embedded/start-embedded.ts';
import { until } from '../rig/until.ts';

// One folder for the whole file: the tests follow each other as the starts of one installation do.
let dataDir: string;
const settings = { fsync: false };
const start = (options: Partial<EmbeddedOptions> = {}) => startEmbedded({ dataDir, settings, ...options });

beforeAll(() => {
  dataDir = mkdtempSync(join(tmpdir(), 'rowcast-embedded-'));
});

afterAll(() => rmSync(dataDir, { recursive: true, force: true }));

async function ask(url: string, sql: string): Promise<unknown[]> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query({ text: sql, rowMode: 'array' })).rows.flat();
  } finally {
    await client.end();
  }
}

/** Another process that starts the database and then waits; killed, it leaves the database running. */
async function startElsewhere(holder: string): Promise<ChildProcess> {
  const module = resolve('scripts/embedded/start-embedded.ts');
  const code = `import { startEmbedded } from ${JSON.stringify(module)};
    await startEmbedded({ dataDir: ${JSON.stringify(dataDir)}, holder: '${holder}', settings: { fsync: false } });
    console.log('ready'); setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', code], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(child.stdout as NodeJS.ReadableStream, 'data');
  return child;
}

async function killed(child: ChildProcess): Promise<void> {
  const gone = once(child, 'exit');
  child.kill('SIGKILL');
  await gone;
}

it('makes a database that can be replicated, and keeps port, password and content over a restart', async () => {
  const first = await start();
  expect(await ask(first.url, 'show wal_level')).toEqual(['logical']);
  await ask(first.url, 'create table kept as select 1 as n');
  const pid = await first.pid();
  await first.stop();
  expect(isAlive(pid ?? 0)).toBe(false);

  const second = await start();
  expect(second).toMatchObject({ url: first.url, port: first.port, adopted: false });
  expect(await ask(second.url, 'select n from kept')).toEqual([1]);
  await second.stop();
});

it('refuses a login without the password', async () => {
  const database = await start();
  const url = new URL(database.url);
  url.password = 'guess';
  await expect(ask(url.href, 'select 1')).rejects.toThrow('password authentication failed');
  await database.stop();
});

it('runs in a process group of its own, which Ctrl-C does not reach', async () => {
  const database = await start();
  const pid = await database.pid();
  if (process.platform === 'linux') {
    const group = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ')[2];
    expect(group).toBe(String(pid));
  }
  await database.stop();
});

it('adopts what a killed server left running, and stops it', async () => {
  await killed(await startElsewhere('server'));
  const left = await readLockFile(join(dataDir, 'postgres18/data'));
  expect(left.state).toBe('alive');

  const database = await start({ holder: 'server' });
  expect(database.adopted).toBe(true);
  await database.stop();
  expect((await readLockFile(join(dataDir, 'postgres18/data'))).state).toBe('none');
});

it('refuses a second server on the same folder, and says whose it is', async () => {
  const other = await startElsewhere('server');
  await expect(start({ holder: 'server' })).rejects.toMatchObject({
    message: `the data folder ${dataDir} is in use by another Rowcast server (process ${other.pid})`,
    remedy: expect.stringContaining('ROWCAST_DATA_DIR'),
  });
  await killed(other);
});

it('is stopped by the last one that uses it', async () => {
  const server = await start({ holder: 'server' });
  const tool = await start();
  expect(tool.adopted).toBe(true);
  await server.stop();
  expect(await ask(tool.url, 'select 1')).toEqual([1]);
  await tool.stop();
  expect(await tool.pid()).toBeUndefined();
});

it('comes back after it was killed itself', async () => {
  const database = await start();
  const pid = await database.pid();
  process.kill(pid ?? 0, 'SIGKILL');
  expect(await until(() => database.revive(), { what: 'the database to be started again' })).toBe(true);
  expect(await database.revive()).toBe(false);
  expect(await database.pid()).not.toBe(pid);
  expect(await ask(database.url, 'select n from kept')).toEqual([1]);
  await database.stop();
  expect(await database.revive()).toBe(false);
});

it('starts over a lock file whose process id went to somebody else', async () => {
  const lockFile = join(dataDir, 'postgres18/data/postmaster.pid');
  writeFileSync(lockFile, `${process.pid}\n${join(dataDir, 'postgres18/data')}\n1700000000\n1\n\n127.0.0.1\n\nready\n`);
  const database = await start();
  expect(database.adopted).toBe(false);
  await database.stop();
});

it('takes another port when somebody took the last one', async () => {
  const database = await start();
  await database.stop();
  const squatter = createServer().listen(database.port, '127.0.0.1');
  await once(squatter, 'listening');
  const moved = await start();
  expect(moved.port).not.toBe(database.port);
  await moved.stop();
  squatter.close();
});

it('gives two that start at once the same database', async () => {
  const [one, two] = await Promise.all([start(), start()]);
  expect(one.url).toBe(two.url);
  expect([one.adopted, two.adopted].sort()).toEqual([false, true]);
  await Promise.all([one.stop(), two.stop()]);
});

it('leaves a folder alone that is not its own', async () => {
  const foreign = join(dataDir, 'foreign');
  await mkdir(join(foreign, 'postgres18/data'), { recursive: true });
  writeFileSync(join(foreign, 'postgres18/data/PG_VERSION'), '14\n');
  await expect(startEmbedded({ dataDir: foreign })).rejects.toMatchObject({
    message: expect.stringContaining('holds a PostgreSQL 14 of another program'),
    remedy: expect.stringContaining('ROWCAST_DATA_DIR'),
  });
  expect(await readFile(join(foreign, 'postgres18/data/PG_VERSION'), 'utf8')).toBe('14\n');
  await rm(foreign, { recursive: true });
});

it('explains a setting that PostgreSQL refuses', async () => {
  await expect(start({ settings: { shared_buffers: 'plenty' } })).rejects.toMatchObject({
    message: expect.stringContaining('invalid value for parameter "shared_buffers"'),
    remedy: expect.stringContaining('server.log'),
  });
});

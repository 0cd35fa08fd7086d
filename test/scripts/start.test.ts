import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { isAlive, readLockFile } from '../../scripts/embedded/postmaster.ts';
import { endLaunched, launch, launchServer } from '../rig/launch.ts';
import { runScript } from '../rig/run-script.ts';
import { until } from '../rig/until.ts';

// The way of a new user, without npm in between: one folder, and the starts of one installation in turn.
let folder: string;
let port: number;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'rowcast-start-'));
  port = await freePort();
});

afterEach(endLaunched);

afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address() as { port: number };
  server.close();
  return address.port;
}

const settings = (): Record<string, string> => ({ ROWCAST_DATA_DIR: folder, PORT: String(port) });

const database = () => readLockFile(join(folder, 'postgres18/data'));

it('shows a live change by the two lines that it prints', async () => {
  const server = await launchServer(settings());
  expect(server.output).toContain(`npm run tail -- db:posts --port ${port}`);
  const statement = /npm run sql -- "(.*)"/.exec(server.output)?.[1] ?? '';

  const tail = launch(['scripts/tail.ts', 'db:posts', '--count', '1'], settings());
  await until(() => tail.output.includes('db:posts: subscribed'), { what: 'tail to be subscribed' });
  const sql = await runScript('scripts/sql.ts', { args: [statement], env: settings() });
  expect(sql.stdout).toBe('INSERT 1 row\n');
  expect(await tail.exit).toBe(0);
  expect(tail.output).toMatch(/ {2}INSERT {2}db:posts {2}\{.*"title":"New Post"/);
});

it('ends a tail of what cannot be subscribed, and says why', async () => {
  await launchServer(settings());
  const tail = launch(['scripts/tail.ts', 'db:nothing'], settings());
  expect(await tail.exit).toBe(1);
  expect(tail.output).toContain('db:nothing: ended: channel_unavailable');
});

it('starts again on the same database, and stops it on Ctrl-C, which comes twice', async () => {
  const server = await launchServer(settings());
  expect(server.output).not.toContain('migration applied');
  // The terminal signals the whole group, and npm passes the signal on.
  process.kill(-(server.child.pid ?? 0), 'SIGINT');
  server.child.kill('SIGINT');
  expect(await server.exit).toBe(0);
  expect((await database()).state).toBe('none');
});

it('goes on in the same epoch after kill -9 of the server, and leaves no orphan', async () => {
  const killed = await launchServer(settings());
  killed.child.kill('SIGKILL');
  await killed.exit;
  const left = await database();
  expect(left.state).toBe('alive');

  const next = await launchServer(settings());
  expect(next.output).not.toContain('a new epoch begins');
  next.child.kill('SIGTERM');
  expect(await next.exit).toBe(0);
  expect(left.state === 'alive' && isAlive(left.postmaster.pid)).toBe(false);
});

it('goes on in the same epoch after kill -9 of the database', async () => {
  const server = await launchServer(settings());
  const lock = await database();
  if (lock.state !== 'alive') throw new Error('the database does not run');
  const before = server.output.length;
  process.kill(lock.postmaster.pid, 'SIGKILL');
  const again = () => server.output.slice(before).includes('"status":"streaming"');
  await until(again, { what: 'the stream to be open again', timeoutMs: 15_000 });
  expect(server.output.slice(before)).not.toContain('a new epoch begins');
});

it('says when its port is taken, and stops the database that it started', async () => {
  const squatter = createServer().listen(port, '127.0.0.1');
  await once(squatter, 'listening');
  const server = launch(['server/main.ts'], settings());
  expect(await server.exit).toBe(1);
  expect(server.output).toContain(`port ${port} on 127.0.0.1 is in use`);
  expect((await database()).state).toBe('none');
  squatter.close();
});

it('says when its folder is in use, and leaves the other server alone', async () => {
  const first = await launchServer(settings());
  const second = launch(['server/main.ts'], { ...settings(), PORT: '0' });
  expect(await second.exit).toBe(1);
  expect(second.output).toContain(
    `the data folder ${folder} is in use by another Rowcast server (process ${first.child.pid})`,
  );
  expect(first.child.exitCode).toBeNull();
  expect((await database()).state).toBe('alive');
});

it('says what is wrong with a setting', async () => {
  const server = launch(['server/main.ts'], { ...settings(), ROWCAST_PING_INTERVAL: 'often' });
  expect(await server.exit).toBe(1);
  expect(server.output).toContain('ROWCAST_PING_INTERVAL: "often" (from the environment) must be a time');
});

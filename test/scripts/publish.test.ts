// `npm run publish`, as a user runs it, against a whole server.

import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestApp, type TestApp } from '../app/test-app.ts';
import { newestPostgres } from '../rig/postgres.ts';
import { runScript, type ScriptRun } from '../rig/run-script.ts';

const ID = '660e8400-e29b-41d4-a716-446655440000';

describe('npm run publish', () => {
  let app: TestApp;
  beforeAll(async () => {
    app = await startTestApp(newestPostgres(), {
      sql: `insert into realtime.channels (pattern) values ('order:*');
        create policy own on realtime.messages for insert to authenticated with check (channel_name = 'order:mine')`,
    });
  });
  afterAll(() => app[Symbol.asyncDispose]());

  const publish = (args: readonly string[], input?: string): Promise<ScriptRun> =>
    runScript('scripts/publish.ts', {
      args,
      env: { ROWCAST_JWT_SECRET: app.config.auth.jwtSecrets[0] ?? '', PORT: String(app.app().port) },
      ...(input === undefined ? {} : { input }),
    });
  const rowOf = async ({ stdout }: ScriptRun): Promise<unknown> => {
    const [row] = await app.database.query(
      'select channel_name, event_name, payload::text as payload, sender_id from realtime.messages where id = $1',
      [stdout.trim()],
    );
    return row;
  };

  it('prints the messageId of what it has published, to the digit', async () => {
    const run = await publish(['order:1', 'order.paid', '{"total": 12345678901234567890.10}']);
    expect(run).toMatchObject({ code: 0, stderr: '' });
    expect(await rowOf(run)).toEqual({
      channel_name: 'order:1',
      event_name: 'order.paid',
      payload: '{"total": 12345678901234567890.10}',
      sender_id: null,
    });
  });

  it('reads the payload from standard input, and needs none', async () => {
    expect(await rowOf(await publish(['order:1', 'read', '-'], '[1.0,\n 2]\n'))).toMatchObject({ payload: '[1.0, 2]' });
    expect(await rowOf(await publish(['order:1', 'none']))).toMatchObject({ payload: 'null' });
  });

  it('with an id is one message however often', async () => {
    const args = ['order:1', 'made', '1', '--id', ID];
    const [first, second] = [await publish(args), await publish(args)];
    expect([second.stdout, second.code]).toEqual([first.stdout, 0]);
    expect(await rowOf(first)).toMatchObject({ sender_id: 'npm-run-publish' });
  });

  it('publishes with a token and at a URL of one’s own, the socket’s as well', async () => {
    const token = app.token('authenticated', { sub: 'alice' });
    const run = await publish(['order:mine', 'made', '1', '--token', token, '--url', app.url]);
    expect(await rowOf(run)).toMatchObject({ sender_id: 'alice' });
    expect(await publish(['order:1', 'made', '1', '--token', token])).toEqual({
      code: 1,
      stdout: '',
      stderr: 'publish_denied: Channel not found or not accessible\n',
    });
  });

  it.each([
    [['nowhere:1', 'made'], 'publish_denied: Channel not found or not accessible: no channel matches nowhere:1\n'],
    [['order:1', 'made', 'text'], `the payload must be JSON, for example '{"status":"shipped"}' or '"text"'\n`],
    [['order:1', 'made', '"\\u0000"'], 'bad_request: The payload holds U+0000\n'],
    [['order:1', 'made', '1', '--token', 'x'], 'bad_token: Invalid token\n'],
    [['order:1', 'made', '1', '--url', 'nowhere'], '--url nowhere is no URL; for example http://127.0.0.1:4000\n'],
    [['order:1'], "error: missing required argument 'event'\n"],
  ])('ends with 1 and says why: %j', async (args, stderr) => {
    expect(await publish(args)).toEqual({ code: 1, stdout: '', stderr });
  });

  it('says where no server runs', async () => {
    const run = await publish(['order:1', 'made', '1', '--url', 'http://127.0.0.1:1024']);
    expect(run.stderr).toContain('http://127.0.0.1:1024/api/realtime/publish cannot be reached (ECONNREFUSED)');
    expect(run.code).toBe(1);
  });
});

it('no script has a name that npm runs at an install: the bootstrap would wait for the install that it began', () => {
  const { scripts } = JSON.parse(readFileSync('package.json', 'utf8')) as { scripts: object };
  const ofInstall = ['preinstall', 'install', 'postinstall', 'prepublish', 'preprepare', 'prepare', 'postprepare'];
  expect(Object.keys(scripts).filter((name) => ofInstall.includes(name))).toEqual([]);
});

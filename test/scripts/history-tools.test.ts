// `npm run history` and `npm run stats`, as a user runs them, against a whole server.

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ask } from '../app/rest-client.ts';
import { startTestApp, type TestApp } from '../app/test-app.ts';
import { newestPostgres } from '../rig/postgres.ts';
import { runScript, type ScriptRun } from '../rig/run-script.ts';
import { until } from '../rig/until.ts';

describe('the tools for history', () => {
  let app: TestApp;
  beforeAll(async () => {
    app = await startTestApp(newestPostgres(), {
      sql: `insert into realtime.channels (pattern) values ('order:*');
        create table posts (id int primary key, title text);
        select realtime.watch('posts')`,
    });
    for (const sql of [
      `select realtime.publish('order:1', 'order.created', '{"total": 12345678901234567890.10}')`,
      `insert into posts values (1, 'One')`,
      `select realtime.publish('order:2', 'order.created', '"b"')`,
    ]) {
      await app.database.query(sql);
    }
    await until(async () => (await ask(app, 'GET', '/messages')).body.length === 3);
  });
  afterAll(() => app[Symbol.asyncDispose]());

  const run = (script: string, args: readonly string[] = []): Promise<ScriptRun> =>
    runScript(`scripts/${script}.ts`, {
      args,
      env: { ROWCAST_JWT_SECRET: app.config.auth.jwtSecrets[0] ?? '', PORT: String(app.app().port) },
    });
  const lines = ({ stdout }: ScriptRun): string[] => stdout.trimEnd().split('\n');

  it('history prints the newest messages, oldest first, to the digit', async () => {
    const all = await run('history');
    expect(all).toMatchObject({ code: 0, stderr: '' });
    const time = '\\d{4}-\\d\\d-\\d\\d \\d\\d:\\d\\d:\\d\\d(\\.\\d+)? *';
    expect(lines(all)).toEqual([
      expect.stringMatching(new RegExp(`^${time}order.created  order:1  {"total": 12345678901234567890.10}$`)),
      expect.stringMatching(new RegExp(`^${time}INSERT  db:posts  {"id":1,"title":"One"}$`)),
      expect.stringMatching(new RegExp(`^${time}order.created  order:2  "b"$`)),
    ]);
    expect(lines(await run('history', ['--limit', '1']))).toEqual(lines(all).slice(2));
  });

  it.each([
    [['--channel', 'order:1'], ['order:1']],
    [['--channel', 'db:posts', '--since', '1h'], ['db:posts']],
    [
      ['--event', 'order.created', '--limit', '9'],
      ['order:1', 'order:2'],
    ],
    [['--until', '1h'], ['']],
    [['--sender', 'nobody'], ['']],
  ])('history takes %j', async (args, channels) => {
    const { code, stdout } = await run('history', args);
    expect([
      code,
      stdout
        .trimEnd()
        .split('\n')
        .map((line) => line.split(/ {2}/).at(-2) ?? ''),
    ]).toEqual([0, channels]);
  });

  it('history prints JSON as the server gives it', async () => {
    const { stdout } = await run('history', ['--json', '--channel', 'order:1']);
    expect(stdout).toContain('"payload":{"total": 12345678901234567890.10}');
    expect(JSON.parse(stdout)).toMatchObject({ eventName: 'order.created', channelName: 'order:1' });
  });

  it('stats prints counts, readable or as JSON', async () => {
    const [channel] = await app.database.query<{ id: string }>(
      `select id from realtime.channels where pattern = 'order:*'`,
    );
    expect(lines(await run('stats', ['--since', '1d']))).toEqual([
      'messages  3',
      'webhooks  0 of 0 delivered',
      '',
      'event          messages',
      '─────────────  ────────',
      'order.created  2',
      'INSERT         1',
    ]);
    expect(JSON.parse((await run('stats', ['--json', '--channel-id', channel?.id ?? ''])).stdout)).toMatchObject({
      totalMessages: 2,
      topEvents: [{ eventName: 'order.created', count: 2 }],
    });
    expect(lines(await run('stats', ['--until', '2020-01-01']))).toEqual(['messages  0', 'webhooks  0 of 0 delivered']);
  });

  it.each([
    ['history', ['--limit', '5000'], /^bad_request: .*limit.*1000/],
    ['history', ['--since', 'soon'], /^bad_request: since has to be a time/],
    ['history', ['--channel', 'order:*'], /^wildcard_not_supported: /],
    ['stats', ['--token', 'x'], /^bad_token: Invalid token/],
    [
      'stats',
      ['--url', 'http://127.0.0.1:1'],
      /^http:\/\/127\.0\.0\.1:1 cannot be reached \(bad port\): does the server run\?/,
    ],
    ['stats', ['--url', 'nowhere'], /^--url nowhere is no URL/],
  ])('%s ends with 1 and says why: %j', async (script, args, words) => {
    const { code, stdout, stderr } = await run(script, args);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toMatch(words);
  });

  it('stats are for admins, and history is as far as policies show it', async () => {
    const token = app.token('authenticated');
    expect(await run('stats', ['--token', token])).toMatchObject({ code: 1, stderr: 'forbidden: For admins only\n' });
    expect(await run('history', ['--token', token])).toEqual({
      code: 0,
      stdout: '',
      stderr: 'nothing in history fits\n',
    });
  });
});

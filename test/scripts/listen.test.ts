// `npm run listen`, as a user runs it, against a whole server and a local receiver.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { json, text } from 'node:stream/consumers';
import { Webhook } from 'standardwebhooks';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestApp, type TestApp } from '../app/test-app.ts';
import { newestPostgres } from '../rig/postgres.ts';
import { runScript, type ScriptRun } from '../rig/run-script.ts';
import { until } from '../rig/until.ts';

const SECRET = `whsec_${Buffer.alloc(32, 7).toString('base64')}`;

/** The example, as a process of its own; resolves with its URL. */
async function startExample(output: string[]): Promise<{ readonly child: ChildProcess; readonly url: string }> {
  const child = spawn(process.execPath, ['examples/webhook-receiver.mjs'], { env: { SECRET, PORT: '0' } });
  child.stdout.setEncoding('utf8').on('data', (text: string) => output.push(text));
  const url = await until(() => /http:\S+/.exec(output.join(''))?.[0], { what: 'the example to listen' });
  return { child, url };
}

describe('npm run listen', () => {
  let app: TestApp;
  const received: { headers: Record<string, string>; body: string }[] = [];
  const receiver = createServer(async (request, response) => {
    received.push({ headers: request.headers as Record<string, string>, body: await text(request) });
    response.writeHead(204).end();
  });
  beforeAll(async () => {
    await new Promise<void>((resolve) => receiver.listen(0, '127.0.0.1', resolve));
    app = await startTestApp(newestPostgres(), { sql: `insert into realtime.channels (pattern) values ('order:*')` });
  });
  afterAll(async () => {
    receiver.closeAllConnections();
    await new Promise((resolve) => receiver.close(resolve));
    await app[Symbol.asyncDispose]();
  });

  const to = (): string => `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/hook`;
  const listen = (args: readonly string[]): Promise<ScriptRun> =>
    runScript('scripts/listen.ts', {
      args,
      env: { ROWCAST_JWT_SECRET: app.config.auth.jwtSecrets[0] ?? '', PORT: String(app.app().port) },
    });
  const isSubscribed = async (channel: string): Promise<boolean> => {
    const answer = await fetch(`http://127.0.0.1:${app.app().port}/api/realtime/channels/active`, {
      headers: { authorization: `Bearer ${app.adminToken()}` },
    });
    const { channels } = (await answer.json()) as { channels: { name: string }[] };
    return channels.some(({ name }) => name === channel);
  };

  it('forwards messages of a channel with the body and the headers of a webhook, signed', async () => {
    const run = listen(['order:1', '--to', to(), '--secret', SECRET, '--count', '2', '--event', 'order.paid']);
    await until(() => isSubscribed('order:1'));
    await app.database.query(`select realtime.publish('order:1', 'order.sent', '0')`);
    await app.database.query(`select realtime.publish('order:1', 'order.paid', '{"total": 1}')`);
    await app.database.query(`select realtime.publish('order:1', 'order.paid', '{"total": 2}')`);
    const { code, stdout } = await run;
    expect(code).toBe(0);
    expect(stdout.split('\n').filter((line) => line.startsWith('204  '))).toHaveLength(2);
    const [{ headers, body } = { headers: {}, body: '' }, second] = received;
    const webhook = new Webhook(SECRET);
    expect(webhook.verify(body, headers)).toEqual({
      ...{ messageId: headers['webhook-id'], channelId: null, channelName: 'order:1', event: 'order.paid' },
      ...{ payload: { total: 1 }, senderId: null, senderType: 'system', timestamp: expect.stringMatching(/Z$/) },
    });
    expect(headers).toMatchObject({
      ...{ 'content-type': 'application/json', 'x-insforge-event': 'order.paid', 'x-insforge-channel': 'order:1' },
      'x-insforge-message-id': headers['webhook-id'],
    });
    expect(JSON.parse(second?.body ?? '').payload).toEqual({ total: 2 });
  });

  it('forwards what a source takes in, by the name of the source', async () => {
    const created = await fetch(`http://127.0.0.1:${app.app().port}/api/realtime/sources`, {
      method: 'POST',
      headers: { authorization: `Bearer ${app.adminToken()}`, 'content-type': 'application/json' },
      body: JSON.stringify({ name: 'shop' }),
    });
    const { channel, path } = (await json(created.body as never)) as { channel: string; path: string };
    received.length = 0;
    const run = listen(['source:shop', '--to', to(), '--count', '1']);
    await until(() => isSubscribed(channel));
    await fetch(`http://127.0.0.1:${app.app().port}${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{"paid":true}',
    });
    expect((await run).stderr).toContain('signed with whsec_');
    expect(JSON.parse(received[0]?.body ?? '')).toMatchObject({
      channelName: channel,
      payload: { payload: { paid: true } },
    });
  });

  it('is understood by the receiver of the examples, which knows who signed', async () => {
    const output: string[] = [];
    const { child, url } = await startExample(output);
    const forged = await fetch(url, { method: 'POST', body: '{}' });
    expect(forged.status).toBe(401);
    const run = listen(['order:2', '--to', url, '--secret', SECRET, '--count', '1']);
    await until(() => isSubscribed('order:2'));
    await app.database.query(`select realtime.publish('order:2', 'order.paid', '{"total": 3}')`);
    expect((await run).stdout).toMatch(/^204 {2}/);
    expect(output.join('')).toContain('order.paid {"messageId"');
    child.kill();
    await once(child, 'close');
  });

  it.each([
    [['order:1'], 'required option'],
    [['order:1', '--to', 'nowhere'], '--to nowhere is no http URL'],
    [['source:none', '--to', 'http://127.0.0.1:1/'], 'there is no source none'],
  ])('ends with 1 and says why: %j', async (args, words) => {
    const { code, stderr } = await listen(args);
    expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringContaining(words) });
  });
});

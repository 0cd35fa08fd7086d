// The printed samples for webhooks that come in, as they stand there but for host and token: a post, a WebSocket and an
// EventSource in a real browser, and the sample for Node in a process of its own.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { ask } from '../app/rest-client.ts';
import { startTestApp, type TestApp, untilStreaming } from '../app/test-app.ts';
import { findChromium, openPage } from '../rig/chromium.ts';
import { describeNewestPostgres } from '../rig/postgres.ts';
import { until } from '../rig/until.ts';
import { servePage } from './page-server.ts';

const chromium = findChromium();

const QUICK_START = `
const ws = new WebSocket('wss://ws.websocks.io?token=YOUR_TOKEN');
ws.onmessage = (event) => {
const webhook = JSON.parse(event.data);
console.log('Received:', webhook);
};`;

const BROWSER_SSE = `
const eventSource = new EventSource(
'https://websocks.io/api/events/stream?token=YOUR_TOKEN'
);
eventSource.onopen = () => {
console.log('Connected to WebSocks SSE');
};
eventSource.onmessage = (event) => {
const data = JSON.parse(event.data);
if (data.type === 'webhook') {
console.log('Webhook received:', data.payload);
}
};
eventSource.onerror = (error) => {
console.error('SSE error:', error);
eventSource.close();
};`;

const BROWSER_WEBSOCKET = `
const ws = new WebSocket('wss://ws.websocks.io?token=YOUR_TOKEN');
ws.onopen = () => {
console.log('Connected to WebSocks WebSocket');
};
ws.onmessage = (event) => {
const webhook = JSON.parse(event.data);
console.log('Webhook received:', webhook);
};
ws.onerror = (error) => {
console.error('WebSocket error:', error);
};
ws.onclose = () => {
console.log('Disconnected from WebSocks');
};`;

const NODE = `
const WebSocket = require('ws');
const ws = new WebSocket('wss://ws.websocks.io?token=YOUR_TOKEN');
ws.on('open', () => {
console.log('Connected to WebSocks WebSocket');
});
ws.on('message', (data) => {
const webhook = JSON.parse(data);
console.log('Webhook received:', webhook);
});
ws.on('error', (error) => {
console.error('WebSocket error:', error);
});
ws.on('close', () => {
console.log('Disconnected from WebSocks');
});`;

/** What a page does that wants to live through a restart: nothing, the browser comes back by itself. */
const PATIENT_SSE = `
const events = new EventSource('https://websocks.io/api/events/stream?token=YOUR_TOKEN');
events.onopen = () => console.log('open');
events.onmessage = ({data}) => console.log('webhook', JSON.parse(data).payload);
const frames = new EventSource('https://websocks.io/realtime/sse?channel=CHANNEL&token=ADMIN');
frames.onmessage = ({data}) => console.log(JSON.parse(data).type, JSON.parse(data).payload?.payload);`;

const POSTED = { event: 'user.signup', email: 'test@example.com' };

type Source = { readonly slug: string; readonly token: string; readonly channel: string };

describeNewestPostgres('the printed samples', (postgres) => {
  let app: TestApp;
  beforeAll(async () => {
    // A port that stays the same when the server is started again.
    app = await startTestApp(postgres, { env: { ROWCAST_ALLOWED_ORIGINS: '*', PORT: String(await freePort()) } });
  });
  afterAll(() => app[Symbol.asyncDispose]());

  const host = (): string => `127.0.0.1:${app.app().port}`;
  const makeSource = async (): Promise<Source> =>
    (await ask(app, 'POST', '/sources', { body: { name: 'printed', plan: 'free' } })).body;
  const fill = (sample: string, { token, channel }: Source): string =>
    sample
      .replaceAll('wss://ws.websocks.io', `ws://${host()}`)
      .replaceAll('https://websocks.io', `http://${host()}`)
      .replaceAll('YOUR_TOKEN', token)
      .replaceAll('CHANNEL', channel)
      .replaceAll('ADMIN', app.adminToken());
  const post = async ({ slug }: Source, payload: unknown = POSTED): Promise<number> => {
    const response = await fetch(`http://${host()}/api/in/${slug}`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify(payload),
    });
    await response.body?.cancel();
    return response.status;
  };
  /** Until the streams of a sample are there: what is posted before is not for them. */
  const untilFollowed = (channel: string, times = 1): Promise<unknown> =>
    until(
      async () => {
        const { body } = await ask(app, 'GET', '/channels/active');
        const text = JSON.stringify(body);
        return text.includes(channel) && text.includes(`"subscriptions":${times}`);
      },
      { what: `${times} subscriptions of ${channel}`, timeoutMs: 25_000 },
    );

  it('for Node receives what is posted', async () => {
    const source = await makeSource();
    const child = spawn(process.execPath, ['--input-type=commonjs', '-e', fill(NODE, source)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let printed = '';
    child.stdout.setEncoding('utf8').on('data', (part) => {
      printed += part;
    });
    await untilFollowed(source.channel);
    expect(await post(source)).toBe(200);
    await until(() => printed.includes('test@example.com'), { what: 'the sample to print it' });
    child.kill('SIGKILL');
    await once(child, 'exit');
    expect(printed).toContain('Connected to WebSocks WebSocket');
    expect(printed).toContain('Webhook received: {');
    expect(printed).not.toContain('error');
  });

  it.skipIf(chromium === undefined).each([
    ['of the quick start', QUICK_START, undefined, 'Received:', (webhook: unknown) => webhook],
    ['of a WebSocket', BROWSER_WEBSOCKET, 'Connected to WebSocks WebSocket', 'Webhook received:', (w: unknown) => w],
    ['of an EventSource', BROWSER_SSE, 'Connected to WebSocks SSE', 'Webhook received:', undefined],
  ])('%s for a browser receives what is posted', { timeout: 60_000 }, async (_, sample, opened, label, whole) => {
    const source = await makeSource();
    await using pages = await servePage(() => fill(sample, source));
    await using _page = await openPage(chromium as string, pages.origin);
    await untilFollowed(source.channel);
    expect(await post(source)).toBe(200);
    const line = await until(() => pages.printed.find(([first]) => first === label), { what: label });
    if (whole === undefined) expect(line[1]).toEqual(POSTED);
    else expect(line[1]).toMatchObject({ type: 'webhook', slug: source.slug, payload: POSTED });
    expect(pages.printed.map(([first]) => first)).toEqual(opened === undefined ? [label] : [opened, label]);
  });

  it.skipIf(chromium === undefined)(
    'live on in a browser that comes back by itself after a restart, and miss nothing',
    { timeout: 60_000 },
    async () => {
      const source = await makeSource();
      await using pages = await servePage(() => fill(PATIENT_SSE, source));
      await using _page = await openPage(chromium as string, pages.origin);
      await untilFollowed(source.channel, 2);
      expect(await post(source, 1)).toBe(200);
      const received = (label: string): unknown[] =>
        pages.printed.filter(([first]) => first === label).map(([, payload]) => payload);
      await until(() => received('webhook').length === 1 && received('message').length === 1, { what: 'the first' });
      await app.restart();
      await untilStreaming(app);
      expect(await post(source, 2)).toBe(200);
      await until(() => received('webhook').length === 2 && received('message').length === 2, {
        what: 'what was posted meanwhile',
        timeoutMs: 25_000,
      });
      expect([received('webhook'), received('message')]).toEqual([
        [1, 2],
        [1, 2],
      ]);
    },
  );
});

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

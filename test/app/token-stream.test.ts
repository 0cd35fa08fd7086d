// The streams of webhook sources by token, on both transports: what was posted, and nothing else, for its owner alone.

import { afterAll, beforeAll, expect, it } from 'vitest';
import WebSocket from 'ws';
import { describeNewestPostgres } from '../rig/postgres.ts';
import { until } from '../rig/until.ts';
import { EventStream } from './event-stream.ts';
import { ask } from './rest-client.ts';
import { startTestApp, type TestApp, untilStreaming } from './test-app.ts';

type Source = { readonly id: string; readonly slug: string; readonly token: string; readonly channel: string };
type Webhook = { readonly id: string; readonly payload: unknown };

/** A client of the socket: what it got, as text, and how it ended. */
type TokenSocket = { readonly socket: WebSocket; readonly texts: string[]; closeCode: number | undefined };

describeNewestPostgres('a stream by token', (postgres) => {
  let app: TestApp;
  const sockets: WebSocket[] = [];
  const streams: EventStream[] = [];

  beforeAll(async () => {
    app = await startTestApp(postgres, { channels: 'closed', env: { ROWCAST_ALLOWED_ORIGINS: 'https://app.example' } });
  });
  afterAll(async () => {
    for (const socket of sockets) socket.terminate();
    for (const stream of streams) stream.close();
    await app[Symbol.asyncDispose]();
  });

  const host = (): string => `127.0.0.1:${app.app().port}`;
  const makeSource = async (name: string): Promise<Source> => {
    const { status, body } = await ask(app, 'POST', '/sources', { body: { name, plan: 'metered' } });
    expect(status, JSON.stringify(body)).toBe(201);
    return body;
  };
  const post = async ({ slug }: Source, payload: unknown): Promise<string> => {
    const response = await fetch(`http://${host()}/api/in/${slug}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-github-event': 'push' },
      body: JSON.stringify(payload),
    });
    const { id } = (await response.json()) as { id: string };
    expect(response.status).toBe(200);
    return id;
  };
  const openSocket = async (query: string, headers: Record<string, string> = {}): Promise<TokenSocket> => {
    const socket = new WebSocket(`ws://${host()}/?${query}`, { headers });
    const client: TokenSocket = { socket, texts: [], closeCode: undefined };
    socket.on('message', (data, isBinary) => client.texts.push(isBinary ? 'binary' : String(data)));
    socket.once('close', (code) => {
      client.closeCode = code;
    });
    await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject));
    sockets.push(socket);
    return client;
  };
  const openStream = async (query: string, headers: Record<string, string> = {}): Promise<EventStream> => {
    const stream = await EventStream.open(`http://${host()}/api/events/stream?${query}`, headers);
    streams.push(stream);
    return stream;
  };
  /** Open, and known to be subscribed. */
  const openBoth = async ({ token, channel }: Source): Promise<[TokenSocket, EventStream]> => {
    const before = await subscribers(channel);
    const both: [TokenSocket, EventStream] = [await openSocket(`token=${token}`), await openStream(`token=${token}`)];
    await until(async () => (await subscribers(channel)) === before + 2, { what: 'both to be subscribed' });
    return both;
  };
  const subscribers = async (channel: string): Promise<number> => {
    const { body } = await ask(app, 'GET', '/channels/active');
    const rows = (body.channels ?? body) as { channel?: string; name?: string; subscriptions: number }[];
    return rows.find((row) => (row.name ?? row.channel) === channel)?.subscriptions ?? 0;
  };
  const webhooks = async (client: TokenSocket, count: number): Promise<Webhook[]> => {
    await until(() => client.texts.length >= count, { what: `${count} webhooks` });
    return client.texts.map((text) => JSON.parse(text) as Webhook);
  };

  it('carries the webhook and nothing else on both transports, byte by byte the same', async () => {
    const source = await makeSource('first');
    const [socket, stream] = await openBoth(source);
    const id = await post(source, { event: 'user.signup', text: 'ü\n', big: 12345678901234567890n.toString() });
    const [webhook] = await webhooks(socket, 1);
    await stream.received(1);
    expect(Object.keys(webhook as object).sort()).toEqual(['headers', 'id', 'payload', 'receivedAt', 'slug', 'type']);
    expect(webhook).toMatchObject({ type: 'webhook', id, slug: source.slug, payload: { event: 'user.signup' } });
    expect(webhook).toMatchObject({ headers: { 'x-github-event': 'push' } });
    expect(stream.events.map(({ data }) => data)).toEqual(socket.texts);
    expect(stream.events.map(({ event }) => event)).toEqual(['message']);
  });

  it('is not broken by what its client says', async () => {
    const source = await makeSource('loud');
    const [{ socket, texts }] = await openBoth(source);
    const client = { socket, texts, closeCode: undefined };
    for (const text of ['hello', '{"type":"subscribe","channel":"in:x"}', '{"type":"auth","token":"x"}', ''])
      socket.send(text);
    socket.send(Buffer.from([0, 1, 2]));
    const pong = new Promise((resolve) => socket.once('pong', resolve));
    socket.ping();
    await pong;
    await post(source, 1);
    expect((await webhooks(client, 1)).map(({ payload }) => payload)).toEqual([1]);
    expect(socket.readyState).toBe(WebSocket.OPEN);
  });

  it.each([
    ['none', ''],
    ['a bad one', 'token=nonsense'],
    ['one that opens nothing', `token=${'A'.repeat(43)}`],
    ['one given twice', 'token=a&token=b'],
    ['a ticket', 'ticket=abc'],
  ])('is refused with 401 without a good token: %s', async (kind, query) => {
    await expect(openSocket(query)).rejects.toThrow('401');
    const response = await fetch(`http://${host()}/api/events/stream?${query}`);
    // The document names the parameters of the stream: others are refused before it is asked who comes.
    expect(response.status).toBe(kind === 'a ticket' || kind === 'one given twice' ? 400 : 401);
  });

  it('is not what the token of a user opens, and does not open what is a user’s', async () => {
    const source = await makeSource('apart');
    await expect(openSocket(`token=${app.adminToken()}`)).rejects.toThrow('401');
    const response = await fetch(`http://${host()}/realtime/sse?channel=${source.channel}&token=${source.token}`);
    expect(response.status).toBe(401);
  });

  it('never shows what was posted to another source', async () => {
    const [mine, others] = [await makeSource('mine'), await makeSource('others')];
    const [socket, stream] = await openBoth(mine);
    await openBoth(others);
    await post(others, 'theirs');
    await post(mine, 'mine');
    expect((await webhooks(socket, 1)).map(({ payload }) => payload)).toEqual(['mine']);
    expect((await stream.received(1)).map(({ payload }) => payload)).toEqual(['mine']);
  });

  it('resumes by Last-Event-ID, also where nothing had come yet, and on the socket by the id of a webhook', async () => {
    const source = await makeSource('resumed');
    const [socket, stream] = await openBoth(source);
    await until(() => stream.lastEventId, { what: 'the place where the stream begins' });
    const beginning = String(stream.lastEventId);
    const first = await post(source, 1);
    await webhooks(socket, 1);
    await stream.received(1);
    socket.socket.terminate();
    stream.close();
    for (const n of [2, 3]) await post(source, n);
    const byHeader = await openStream(`token=${source.token}`, { 'last-event-id': String(stream.lastEventId) });
    expect((await byHeader.received(2)).map(({ payload }) => payload)).toEqual([2, 3]);
    const fromBeginning = await openStream(`token=${source.token}`, { 'last-event-id': beginning });
    expect((await fromBeginning.received(3)).map(({ payload }) => payload)).toEqual([1, 2, 3]);
    const bySince = await openSocket(`token=${source.token}&since=${first}`);
    expect((await webhooks(bySince, 2)).map(({ payload }) => payload)).toEqual([2, 3]);
  });

  it('ends when its token is rotated, and the new one opens it', async () => {
    const source = await makeSource('rotated');
    const [socket, stream] = await openBoth(source);
    const { status, body } = await ask(app, 'POST', `/sources/${source.id}/rotate`);
    expect(status).toBe(200);
    await stream.ended();
    await until(() => socket.closeCode, { what: 'the socket to be closed' });
    expect(socket.closeCode).toBe(4403);
    expect(stream.events).toEqual([]);
    await expect(openSocket(`token=${source.token}`)).rejects.toThrow('401');
    const [again] = await openBoth({ ...source, token: body.token });
    await post(source, 'new');
    expect((await webhooks(again, 1)).map(({ payload }) => payload)).toEqual(['new']);
  });

  it('ends with its source, and with its channel', async () => {
    const [deleted, disabled] = [await makeSource('deleted'), await makeSource('disabled')];
    const all = [...(await openBoth(deleted)), ...(await openBoth(disabled))] as const;
    await ask(app, 'DELETE', `/sources/${deleted.id}`);
    await app.database.query('update realtime.channels set enabled = false where pattern = $1', [disabled.channel]);
    await until(() => [all[0], all[2]].every(({ closeCode }) => closeCode === 4403), { what: 'the sockets to close' });
    await Promise.all([all[1].ended(), all[3].ended()]);
    expect([...all[1].events, ...all[3].events]).toEqual([]);
  });

  it('is closed to pages of other origins, and open to those that are allowed', async () => {
    const { token } = await makeSource('pages');
    await expect(openSocket(`token=${token}`, { origin: 'https://evil.example' })).rejects.toThrow('403');
    const evil = await fetch(`http://${host()}/api/events/stream?token=${token}`, {
      headers: { origin: 'https://evil.example' },
    });
    expect(evil.status).toBe(403);
    const stream = await openStream(`token=${token}`, { origin: 'https://app.example' });
    expect(stream.headers.get('access-control-allow-origin')).toBe('https://app.example');
  });

  it('leaves the root to nobody else, and its token in no log', async () => {
    const { token } = await makeSource('root');
    expect((await fetch(`http://${host()}/?token=${token}`)).status).toBe(404);
    const stream = await openStream(`token=${token}`);
    stream.close();
    const isLogged = (): boolean => app.logLines.some(({ fields }) => fields.url === '/api/events/stream?token=…');
    await until(isLogged, { what: 'the line of the access log' });
    expect(JSON.stringify(app.logLines)).not.toContain(token);
  });

  it('comes back after a restart where it stood', async () => {
    const source = await makeSource('restarted');
    const [socket, stream] = await openBoth(source);
    await until(() => stream.lastEventId, { what: 'the place where the stream begins' });
    await app.restart();
    await untilStreaming(app);
    await stream.ended();
    expect(socket.closeCode).toBe(1012);
    expect(stream.events).toEqual([]);
    await post(source, 'meanwhile');
    const again = await openStream(`token=${source.token}`, { 'last-event-id': String(stream.lastEventId) });
    expect((await again.received(1)).map(({ payload }) => payload)).toEqual(['meanwhile']);
  });
});

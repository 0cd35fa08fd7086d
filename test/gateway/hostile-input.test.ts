// Owns the proof that no input brings the gateway down or leaves anything behind: malformed frames, names,
// filters and tokens at a real socket, and bytes that are no frames at all. Every frame is answered or closes
// the socket by a known code; a well-behaved client is served throughout.

import { createHmac } from 'node:crypto';
import { connect } from 'node:net';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { ERROR_CODES } from '../../server/protocol/error-codes.ts';
import { until } from '../rig/until.ts';
import { type OpenGateway, openGateway, SECRET, token } from './open-gateway.ts';
import type { Frame } from './test-socket.ts';

const REPLIES = ['auth_success', 'subscribed', 'live', 'unsubscribed', 'published', 'pong', 'error'];
const CLOSES = [1002, 1007, 1009, 4400, 4401, 4413];
// Limits that would end the runs early are lifted; each has tests of its own.
const env = { ROWCAST_RATE_LIMIT: 'off', ROWCAST_AUTH_TRIES: '100' };
const bounds = { badFrames: 1_000, unauthenticatedBytes: 64 * 1024 * 1024 };

it('answers every frame, however hostile, or closes by a known code', async () => {
  await using server = await openGateway({ env, bounds });
  const runs = fc.array(hostileFrame(), { minLength: 1, maxLength: 12 });
  await fc.assert(
    fc.asyncProperty(runs, fc.boolean(), async (frames, isAuthenticated) => {
      await throwAt(server, frames, isAuthenticated);
      await expectService(server);
    }),
    { numRuns: 150 },
  );
  await until(() => server.hub.connectionCount === 0);
  expect([...server.hub.activeChannels()]).toEqual([]);
}, 60_000);

it('lets no hostile token in', async () => {
  await using server = await openGateway({ env, bounds });
  await fc.assert(
    fc.asyncProperty(fc.array(hostileToken(), { minLength: 1, maxLength: 5 }), async (tokens) => {
      const socket = await server.connect();
      for (const hostile of tokens) {
        socket.send({ type: 'auth', token: hostile });
        const outcome = await Promise.race([socket.next().catch(() => undefined), socket.closed]);
        if (outcome === undefined || 'code' in outcome === false || typeof outcome.code === 'number') break;
        expect(outcome).toMatchObject({
          type: 'error',
          code: expect.toBeOneOf(['bad_token', 'token_expired', 'bad_frame']),
        });
      }
      expect(socket.frames.every((frame) => frame.type === 'error')).toBe(true);
      expect(server.hub.connectionCount).toBe(0);
      socket.terminate();
      await socket.closed;
    }),
    { numRuns: 60 },
  );
  await expectService(server);
}, 60_000);

it('lets no hostile token in with the upgrade', async () => {
  await using server = await openGateway({ env, bounds });
  await fc.assert(
    fc.asyncProperty(hostileToken(), fc.constantFrom('token', 'ticket'), async (hostile, name) => {
      const query = `?${name}=${encodeURIComponent(hostile)}`;
      // 401, 400 for what no database can hold, or 431 for what is larger than all headers may be.
      await expect(server.connect(query)).rejects.toThrow(/401|400|431|ECONNRESET|EPIPE/);
    }),
    { numRuns: 40 },
  );
  expect(server.hub.connectionCount).toBe(0);
  await expectService(server);
}, 60_000);

it('survives bytes that are no frames', async () => {
  await using server = await openGateway({ env, bounds: { ...bounds, closeGraceMs: 20 } });
  const bytes = fc.uint8Array({ minLength: 1, maxLength: 300 });
  await fc.assert(
    fc.asyncProperty(bytes, fc.boolean(), async (garbage, isUpgraded) => {
      const socket = connect(server.port, '127.0.0.1');
      socket.on('error', () => {});
      socket.resume();
      if (isUpgraded) socket.write(upgradeRequest(server.port));
      socket.end(garbage);
      await new Promise((resolve) => socket.once('close', resolve));
    }),
    { numRuns: 100 },
  );
  await expectService(server);
  await until(() => server.hub.connectionCount === 0);
}, 60_000);

it('leaves nothing behind: handles, sockets, timers and heap are as before, resident memory stays', async () => {
  const collect = collector();
  await using server = await openGateway({ env, bounds });
  const storm = async (seed: number): Promise<void> => {
    const sample = fc.sample(fc.array(hostileFrame(), { minLength: 1, maxLength: 12 }), { numRuns: 40, seed });
    for (const frames of sample) await throwAt(server, frames, frames.length % 2 === 0);
    await until(() => server.hub.connectionCount === 0);
    server.log.lines.length = 0;
  };
  // Code is compiled and caches are filled by the first.
  await storm(1);
  await storm(2);
  const resourcesBefore = await settledResources();
  const heapBefore = collect();
  const resident: number[] = [];
  for (const seed of [3, 4, 5, 6, 7, 8]) {
    await storm(seed);
    resident.push(process.memoryUsage.rss());
  }
  expect(await settledResources(resourcesBefore)).toEqual(resourcesBefore);
  expect(collect() - heapBefore).toBeLessThan(1_000_000);
  expect(Math.max(...resident.slice(3)) - Math.max(...resident.slice(0, 3))).toBeLessThan(24 * 1024 * 1024);
}, 60_000);

async function throwAt(
  server: OpenGateway,
  frames: readonly (string | Uint8Array)[],
  isAuthenticated: boolean,
): Promise<void> {
  const socket = await server.connect(isAuthenticated ? `?token=${token()}` : '');
  if (isAuthenticated) await socket.frame('auth_success');
  for (const [n, frame] of frames.entries()) {
    const mark = `mark ${n}`;
    socket.webSocket.send(frame, { binary: typeof frame !== 'string' });
    socket.send({ type: 'ping', ref: mark });
    const answers: Frame[] = [];
    const isMarked = (): boolean => answers.at(-1)?.ref === mark;
    while (!isMarked()) {
      const next = await socket.next().catch(() => undefined);
      if (next === undefined) break;
      answers.push(next);
    }
    if (!isMarked()) break;
    expect(answers.length, `an answer to ${String(frame).slice(0, 200)}`).toBeGreaterThan(1);
    for (const answer of answers) expectKnown(answer);
  }
  // Whoever was closed by the server has the code; the others leave.
  socket.webSocket.close(1000);
  const { code } = await socket.closed;
  if (code !== 1000 && code !== 1005) expect(CLOSES).toContain(code);
}

function expectKnown(frame: Frame): void {
  expect(REPLIES).toContain(frame.type);
  if (frame.type !== 'error') return;
  expect(ERROR_CODES).toContain(frame.code);
  expect(frame.code).not.toBe('internal');
  expect(frame.message).toBeTypeOf('string');
}

async function expectService(server: OpenGateway): Promise<void> {
  const socket = await server.login();
  expect(await socket.ask({ type: 'subscribe', channel: 'db:posts' })).toMatchObject({ type: 'subscribed' });
  expect(await socket.ask({ type: 'unsubscribe', channel: 'db:posts' })).toMatchObject({ type: 'unsubscribed' });
  socket.webSocket.close();
  await socket.closed;
}

function hostileFrame(): fc.Arbitrary<string | Uint8Array> {
  const text = fc.string({ unit: 'binary', maxLength: 300 });
  const ref = fc.oneof(fc.string({ maxLength: 80 }), fc.double(), fc.constant(null), fc.jsonValue({ maxDepth: 2 }));
  const name = fc.oneof(
    text,
    fc.stringMatching(/^db:["a-z.*%]{0,12}$/),
    fc.constantFrom('db:posts', 'order:1', 'db:"', 'db:a.b.c', 'x'.repeat(201)),
  );
  const filter = fc.oneof(
    fc.jsonValue({ maxDepth: 4 }),
    fc.record(
      {
        event: fc.oneof(text, fc.array(text), fc.constantFrom('INSERT', '*')),
        schema: text,
        where: fc.jsonValue(),
        columns: fc.array(text),
      },
      { requiredKeys: [] },
    ),
  );
  const subscribe = fc.record(
    {
      type: fc.constant('subscribe'),
      channel: name,
      filter,
      since: text,
      snapshot: fc.boolean(),
      echo: fc.boolean(),
      ref,
    },
    { requiredKeys: ['type', 'channel'] },
  );
  const unsubscribe = fc.record(
    { type: fc.constant('unsubscribe'), channel: name, subscriptionId: text, ref },
    { requiredKeys: ['type'] },
  );
  const publish = fc.record({ type: fc.constant('publish'), channel: name, event: text, payload: fc.jsonValue(), ref });
  const auth = fc.record(
    { type: fc.constant('auth'), token: fc.oneof(text, hostileToken()), ref },
    { requiredKeys: ['type'] },
  );
  const other = fc.record({ type: fc.oneof(text, fc.constantFrom('__proto__', 'constructor', 'toString')), ref });
  const deep = fc.integer({ min: 10, max: 20_000 }).map((depth) => `${'['.repeat(depth)}${']'.repeat(depth)}`);
  const deepField = fc
    .integer({ min: 10, max: 5_000 })
    .map((depth) => `{"type":"ping","x":${'{"x":'.repeat(depth)}1${'}'.repeat(depth)}}`);
  const printed = fc.oneof(subscribe, unsubscribe, publish, auth, other).map((frame) => JSON.stringify(frame));
  const cut = fc.tuple(printed, fc.nat(60)).map(([json, length]) => json.slice(0, length));
  const large = fc.integer({ min: 1, max: 70_000 }).map((length) => `{"type":"ping"${' '.repeat(length)}}`);
  const proto = fc.constant('{"type":"subscribe","__proto__":{"channel":"order:1"}}');
  return fc.oneof(
    { weight: 6, arbitrary: printed },
    { weight: 2, arbitrary: fc.json() },
    { weight: 2, arbitrary: text },
    cut,
    deep,
    deepField,
    large,
    proto,
    fc.uint8Array({ maxLength: 200 }),
  );
}

function hostileToken(): fc.Arbitrary<string> {
  const now = Math.floor(Date.now() / 1000);
  const good = { role: 'authenticated', sub: 'x', exp: now + 600 };
  const claims = fc.oneof(
    fc.constantFrom<object>(
      { ...good, role: 'none' },
      { ...good, role: 'postgres' },
      { ...good, role: ['authenticated'] },
      { ...good, role: undefined },
      { ...good, exp: now - 10 },
      { ...good, exp: undefined },
      { ...good, exp: '9999999999' },
      { ...good, exp: null },
      { ...good, nbf: now + 3_600 },
      { ...good, sub: { toString: 'x' } },
      { ...good, pad: 'x'.repeat(20_000) },
      { ...good, deep: nested(100) },
      { ...good, nul: '\0' },
    ),
    fc.jsonValue({ maxDepth: 3 }).map((value) => ({ value })),
  );
  const signed = claims.map((value) => signWith({ alg: 'HS256', typ: 'JWT' }, value, SECRET));
  const header = fc.oneof(
    fc.record({ alg: fc.constantFrom('none', 'None', 'NONE', 'HS512', 'RS256', 'ES256', '', 'HS256 ') }),
    fc.constantFrom<object>(
      { alg: 'HS256', crit: ['exp'] },
      { alg: 'HS256', typ: 'JOSE' },
      {},
      { alg: ['HS256'] },
      { alg: null },
    ),
  );
  const wrongHeader = fc
    .tuple(header, fc.boolean())
    .map(([value, isSigned]) => signWith(value, good, isSigned ? SECRET : ''));
  const wrongSecret = fc
    .string({ minLength: 1, maxLength: 64 })
    .map((secret) => signWith({ alg: 'HS256' }, good, secret));
  return fc.oneof(signed, wrongHeader, wrongSecret, fc.string({ unit: 'binary', minLength: 1, maxLength: 200 }));
}

/** Signed by hand, with any header; without a secret the signature is empty. */
function signWith(header: object, claims: object, secret: string): string {
  const input = [header, claims].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.');
  return `${input}.${secret === '' ? '' : createHmac('sha256', secret).update(input).digest('base64url')}`;
}

function nested(depth: number): unknown {
  return depth === 0 ? 1 : [nested(depth - 1)];
}

function upgradeRequest(port: number): string {
  return (
    `GET /realtime?token=${token()} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
    'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n'
  );
}

/** Collects garbage and returns the bytes of heap that are left. */
function collector(): () => number {
  setFlagsFromString('--expose-gc');
  const gc = runInNewContext('gc') as () => void;
  return () => {
    gc();
    gc();
    return process.memoryUsage().heapUsed;
  };
}

/** What keeps the process busy, by kind, once it is what is wanted or has come to rest. */
async function settledResources(wanted?: Record<string, number>): Promise<Record<string, number>> {
  let last = '';
  await until(
    () => {
      const now = JSON.stringify(resources());
      const isSettled = wanted === undefined ? now === last : now === JSON.stringify(wanted);
      last = now;
      return isSettled;
    },
    { everyMs: 100, timeoutMs: 5_000 },
  ).catch(() => undefined);
  return resources();
}

function resources(): Record<string, number> {
  const kinds = process.getActiveResourcesInfo().filter((kind) => /Timeout|Immediate|TCP|Server/.test(kind));
  const counts: Record<string, number> = {};
  for (const kind of kinds.sort()) counts[kind] = (counts[kind] ?? 0) + 1;
  return counts;
}

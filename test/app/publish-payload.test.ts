// A payload is what was sent, to the digit: any JSON that jsonb holds is in the table as its own text would be, by a
// frame and by a request. What is refused leaves nothing.

import fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeNewestPostgres } from '../rig/postgres.ts';
import { messageText, publishBody, publishFrame } from './publishing.ts';
import { startTestApp, type TestApp } from './test-app.ts';

const number = fc
  .tuple(
    fc.constantFrom('', '-'),
    fc.oneof(fc.constantFrom('0', '9'), fc.bigInt({ min: 1n, max: 10n ** 60n }).map(String)),
    fc.oneof(
      fc.constant(''),
      fc.bigInt({ min: 0n, max: 10n ** 40n }).map((n) => `.${n}`),
    ),
    fc.oneof(
      fc.constant(''),
      fc.integer({ min: -30, max: 30 }).map((n) => `e${n}`),
      fc.constant('E+07'),
    ),
  )
  .map((parts) => parts.join(''));
const text = fc
  .string({ unit: 'binary', maxLength: 12 })
  .filter((value) => !value.includes('\0'))
  .chain((value) => fc.constantFrom(JSON.stringify(value), escaped(value)));
const name = fc.oneof(text, fc.constantFrom('"__proto__"', '"payload"', '"constructor"', '""'));
const blank = fc.constantFrom('', ' ', '\n\t', '\r\n ');
const json = fc.letrec<{ value: string }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'medium' },
    number,
    text,
    fc.constantFrom('null', 'true', 'false', '[]', '{}'),
    fc.tuple(blank, fc.array(tie('value'), { maxLength: 5 })).map(([gap, items]) => `[${gap}${items.join(`${gap},`)}]`),
    fc
      .tuple(blank, fc.array(fc.tuple(name, tie('value')), { maxLength: 5 }))
      .map(
        ([gap, members]) => `{${gap}${members.map(([key, value]) => `${key}${gap}:${value}`).join(`,${gap}`)}${gap}}`,
      ),
  ),
})).value;

describeNewestPostgres('a payload', (postgres) => {
  let app: TestApp;
  beforeAll(async () => {
    app = await startTestApp(postgres, {
      sql: `insert into realtime.channels (pattern) values ('any:*');
        create policy p on realtime.messages for insert to authenticated with check (true)`,
    });
  });
  afterAll(() => app[Symbol.asyncDispose]());

  /** The ids of messages whose payload is not exactly that text. */
  async function changed(ids: readonly string[], payloads: readonly string[]): Promise<unknown[]> {
    const rows = await app.database.query(
      `select g.text, m.payload::text as written
       from unnest($1::uuid[], $2::text[]) as g (id, text) left join realtime.messages m on m.id = g.id
       where m.payload is distinct from g.text::jsonb or m.payload::text is distinct from g.text::jsonb::text`,
      [ids, payloads],
    );
    return rows;
  }

  it('by requests is what was sent', async () => {
    const token = app.token('authenticated');
    for (let round = 0; round < 4; round += 1) {
      const payloads = fc.sample(json, 100);
      const body = `[${payloads.map((payload) => messageText({ channel: 'any:1', payload })).join(',')}]`;
      const response = await publishBody(app, token, body);
      expect(response.status, JSON.stringify(response.body)).toBe(200);
      const ids = (response.body as { messageId: string }[]).map(({ messageId }) => messageId);
      expect(await changed(ids, payloads)).toEqual([]);
    }
  });

  it('by frames is what was sent, and what subscribers get', async () => {
    const client = await app.client(app.token('authenticated'));
    const reader = await app.client();
    await reader.subscribe('any:2');
    const payloads = fc.sample(json, 60).filter((payload) => payload.length < 60_000);
    const ids: string[] = [];
    for (const payload of payloads) {
      const frame = await publishFrame(client, { channel: 'any:2', payload });
      ids.push(String(frame.messageId));
    }
    expect(await changed(ids, payloads)).toEqual([]);
    const received = (await reader.received(payloads.length)).map((frame) => JSON.stringify(sorted(frame.payload)));
    expect(received).toEqual(payloads.map((payload) => JSON.stringify(sorted(JSON.parse(payload)))));
  });

  it('that jsonb cannot hold leaves nothing of its list, nor of its own', async () => {
    const token = app.token('authenticated');
    const faults = ['"\\u0000"', '"\\udead"', '1e200000', `${'['.repeat(600)}${']'.repeat(600)}`];
    for (const fault of faults) {
      const payloads = [...fc.sample(json, 5), `{"deep": [1, ${fault}]}`, ...fc.sample(json, 5)];
      const body = `[${payloads.map((payload) => messageText({ channel: 'any:3', payload })).join(',')}]`;
      expect((await publishBody(app, token, body)).body).toMatchObject({
        error: 'bad_request',
        message: expect.stringContaining('message 6 of 11: The payload '),
      });
      expect((await publishBody(app, token, messageText({ channel: 'any:3', payload: fault }))).status).toBe(400);
    }
    expect(await app.database.query(`select id from realtime.messages where channel_name = 'any:3'`)).toEqual([]);
  });

  it('may be as large as the body allows, and a body no larger', async () => {
    const token = app.token('authenticated');
    const payload = `"${'x'.repeat(256 * 1024 - 2)}"`;
    const list = (count: number) =>
      `[${Array.from({ length: count }, () => messageText({ channel: 'any:4', payload })).join(',')}]`;
    expect((await publishBody(app, token, list(15))).status).toBe(200);
    expect((await publishBody(app, token, list(16))).body).toMatchObject({
      error: 'payload_too_large',
      statusCode: 413,
    });
  });
});

/** The string with every unit escaped. */
function escaped(value: string): string {
  const units = Array.from({ length: value.length }, (_, at) => value.charCodeAt(at).toString(16).padStart(4, '0'));
  return `"${units.map((unit) => `\\u${unit}`).join('')}"`;
}

/** Names in one order; -0 is 0 to jsonb. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value === 'number') return value === 0 ? 0 : value;
  if (typeof value !== 'object' || value === null) return value;
  return Object.entries(value)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, inner]) => [key, sorted(inner)]);
}

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeClientFrame } from '../../server/protocol/client-frame.ts';

const decode = (frame: unknown) => decodeClientFrame(JSON.stringify(frame));

function refusal(frame: unknown): string {
  const decoded = decode(frame);
  if (decoded.ok) throw new Error('was accepted');
  expect(decoded.refusal.code).toBe('bad_frame');
  return decoded.refusal.message;
}

const uuid = '0190b8a4-7c1e-7b3a-9d2f-1a2b3c4d5e6f';

describe('a client frame', () => {
  it.each([
    { type: 'auth', token: 'x' },
    { type: 'subscribe', channel: 'db:posts' },
    { type: 'subscribe', channel: 'db:posts', filter: {}, ref: 0 },
    { type: 'subscribe', channel: 'db:posts', filter: { event: 'INSERT', schema: 'audit' }, ref: 'a' },
    {
      type: 'subscribe',
      channel: 'db:posts',
      filter: { event: ['INSERT', 'DELETE'], where: { a: 1 }, columns: ['a'] },
    },
    { type: 'subscribe', channel: 'c', since: uuid, snapshot: true, echo: false },
    { type: 'unsubscribe', channel: 'c' },
    { type: 'unsubscribe', subscriptionId: 's' },
    { type: 'publish', channel: 'c', event: 'e', payload: null },
    { type: 'publish', channel: 'c', event: 'e', payload: { a: [1] }, id: uuid },
    { type: 'ping', ref: -1.5 },
  ])('is decoded: %j', (frame) => {
    expect(decode(frame)).toEqual({ ok: true, frame });
  });

  it.each([
    [{ type: 'subscribe', channel: 'c', fitler: {} }, /unknown field fitler/],
    [{ type: 'subscribe', channel: 'c', filter: { evnt: 'INSERT' } }, /unknown field filter\.evnt/],
    [{ type: 'subscribe', channel: 'c', filter: null }, /filter/],
    [{ type: 'subscribe', channel: 'c', filter: { event: [] } }, /filter\.event/],
    [{ type: 'subscribe', channel: 'c', filter: { event: '' } }, /filter\.event/],
    [{ type: 'subscribe', channel: 'c', filter: { schema: '' } }, /filter\.schema/],
    [{ type: 'subscribe', channel: 'c', filter: { columns: [1] } }, /filter\.columns/],
    [{ type: 'subscribe', channel: 7 }, /channel/],
    [{ type: 'subscribe' }, /channel/],
    [{ type: 'subscribe', channel: 'c', since: 5 }, /since/],
    [{ type: 'auth' }, /token/],
    [{ type: 'publish', channel: 'c', event: 'e' }, /payload/],
    [{ type: 'ping', ref: 'x'.repeat(65) }, /ref/],
    [{ type: 'ping', ref: null }, /ref/],
    [{ type: 'ping', more: 1 }, /unknown field more/],
    [{ type: 'nothing' }, /type must be one of/],
    [{ type: '__proto__' }, /type must be one of/],
    [{ type: 'constructor' }, /type must be one of/],
    [{ type: ['ping'] }, /type must be one of/],
    [{}, /type must be one of/],
    [[], /one JSON object/],
    [null, /one JSON object/],
    ['ping', /one JSON object/],
  ])('%j is refused, naming what is wrong', (frame, message) => {
    expect(refusal(frame)).toMatch(message);
  });

  it('is refused where an own __proto__ hides a field', () => {
    expect(decodeClientFrame('{"type":"ping","__proto__":{"a":1}}').ok).toBe(false);
    expect(decodeClientFrame('{"type":"subscribe","__proto__":{"channel":"c"}}').ok).toBe(false);
  });

  it('has its ref repeated by a refusal, if that is usable', () => {
    expect(decode({ type: 'nothing', ref: 'r1' })).toMatchObject({ ok: false, ref: 'r1' });
    expect(decode({ type: 'subscribe', ref: 7 })).toMatchObject({ ok: false, ref: 7 });
    expect(decode({ type: 'nothing', ref: 'r'.repeat(65) })).not.toHaveProperty('ref', expect.anything());
    expect(decode({ type: 'nothing', ref: { a: 1 } })).not.toHaveProperty('ref', expect.anything());
  });

  it('is a frame or a refusal for any text and any JSON, never an exception', () => {
    const shaped = fc.record(
      {
        type: fc.constantFrom('auth', 'subscribe', 'unsubscribe', 'publish', 'ping'),
        channel: fc.jsonValue(),
        filter: fc.jsonValue(),
        payload: fc.jsonValue(),
        event: fc.jsonValue(),
        ref: fc.jsonValue(),
      },
      { requiredKeys: ['type'] },
    );
    const texts = fc.oneof(
      fc.string(),
      fc.json(),
      shaped.map((frame) => JSON.stringify(frame)),
    );
    fc.assert(
      fc.property(texts, (text) => {
        const decoded = decodeClientFrame(text);
        if (decoded.ok) expect(decoded.frame).toEqual(JSON.parse(text));
        else expect(decoded.refusal.message).not.toBe('');
      }),
    );
  });

  it('nested a thousand deep is refused or decoded, and does not overflow', () => {
    const deep = `${'['.repeat(10_000)}${']'.repeat(10_000)}`;
    expect(decodeClientFrame(`{"type":"publish","channel":"c","event":"e","payload":${deep}}`).ok).toBe(true);
    expect(decodeClientFrame(deep).ok).toBe(false);
  });
});

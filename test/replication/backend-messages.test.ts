import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BackendMessages } from '../../server/replication/backend-messages.ts';

type Message = readonly [type: number, body: string];

function encode(messages: readonly Message[]): Buffer {
  const parts = messages.map(([type, body]) => {
    const head = Buffer.alloc(5);
    head[0] = type;
    head.writeUInt32BE(4 + Buffer.byteLength(body, 'latin1'), 1);
    return Buffer.concat([head, Buffer.from(body, 'latin1')]);
  });
  return Buffer.concat(parts);
}

function cut(chunks: readonly Buffer[]): Message[] {
  const messages: Message[] = [];
  const cutter = new BackendMessages((type, bytes, start, end) => {
    messages.push([type, bytes.toString('latin1', start, end)]);
  });
  for (const chunk of chunks) cutter.push(chunk);
  return messages;
}

const bodies = fc.oneof(fc.constant(''), fc.stringMatching(/^[\x20-\x7e]{0,30}$/), fc.constant('x'.repeat(300)));
const streams = fc.array(fc.tuple(fc.integer({ min: 1, max: 255 }), bodies), { maxLength: 12 });

describe('a stream of backend messages', () => {
  it('gives the same messages however it is cut into chunks', () => {
    fc.assert(
      fc.property(streams, fc.array(fc.nat(400), { maxLength: 40 }), (messages, places) => {
        const bytes = encode(messages);
        const cuts = [0, ...places.map((place) => place % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
        const chunks = cuts.slice(1).map((end, index) => bytes.subarray(cuts[index], end));
        expect(cut(chunks)).toEqual(messages);
      }),
      { numRuns: 500 },
    );
  });

  it('gives the same messages byte by byte', () => {
    fc.assert(
      fc.property(streams, (messages) => {
        expect(cut(Array.from(encode(messages), (byte) => Buffer.of(byte)))).toEqual(messages);
      }),
    );
  });

  it('hands a message on in place, where it came in one chunk', () => {
    const chunk = encode([[0x64, 'abc']]);
    const cutter = new BackendMessages((_, bytes) => void expect(bytes).toBe(chunk));
    cutter.push(chunk);
    expect.assertions(1);
  });

  it('is refused where a length is none', () => {
    for (const length of [0, 3, 0x4000_0001, 0xffff_ffff]) {
      const bytes = encode([[0x64, 'abc']]);
      bytes.writeUInt32BE(length, 1);
      expect(() => cut([bytes])).toThrow(RangeError);
    }
  });
});

import { describe, expect, it } from 'vitest';
import { formatPosition, toEpoch, toLsn } from '../../server/lib/position.ts';
import { ByteWriter } from '../../server/protocol/byte-writer.ts';
import type { Dialect } from '../../server/protocol/dialect.ts';
import { messageHead, writeMessage } from '../../server/protocol/message-frame.ts';
import { encodeErrorFrame, encodeServerFrame, type ServerFrame } from '../../server/protocol/server-frame.ts';

const position = formatPosition({ epoch: toEpoch(1), lsn: toLsn(100n), index: 0 });
const about = { channel: 'c', subscriptionId: 's', position };
const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString();

function message(dialect: Dialect, payload: string, given: string | undefined = position): string {
  const out = new ByteWriter(16);
  const tail = { messageId: 'm', senderId: null, timestamp: 't', position: given };
  writeMessage(out, dialect, messageHead('c', 'e'), Buffer.from(payload), tail);
  return text(out.view(0));
}

describe('a message as an event', () => {
  it('is the frame on one line, under its position', () => {
    const frame = `{"type":"message","channel":"c","event":"e","payload":{"ü": 1},"messageId":"m","senderId":null,"timestamp":"t","position":"${position}"}`;
    expect(message('sse', '{"ü": 1}')).toBe(`id: ${position}\ndata: ${frame}\n\n`);
  });

  it('is its payload alone where nothing else is wanted', () => {
    expect(message('payload-sse', '[1]')).toBe(`id: ${position}\ndata: [1]\n\n`);
    expect(message('payload', '[1]').slice(2)).toBe('[1]');
  });

  it('has no id where it has no place', () => {
    const out = new ByteWriter(16);
    writeMessage(out, 'payload-sse', messageHead('c', 'e'), Buffer.from('1'), { messageId: 'm', timestamp: 't' });
    expect(text(out.view(0))).toBe('data: 1\n\n');
  });

  it('does not end where its payload has ends of lines', () => {
    expect(message('payload-sse', '{"a":\r\n\n1}')).toBe(`id: ${position}\ndata: {"a":   1}\n\n`);
  });
});

describe('a frame of the server', () => {
  const subscribed: ServerFrame = { type: 'subscribed', ...about };
  const live: ServerFrame = { type: 'live', ...about };

  it('says where the client stands only where all before it has come', () => {
    const idOf = (frame: ServerFrame): boolean => text(encodeServerFrame(frame, 'sse')).startsWith('id: ');
    expect(idOf(subscribed)).toBe(true);
    expect(idOf(live)).toBe(true);
    for (const recovered of [true, false]) expect(idOf({ ...subscribed, recovered })).toBe(false);
    expect(idOf({ type: 'gap', reason: 'retention', from: null, to: position })).toBe(false);
  });

  it('is nothing but a place to those who want payloads alone', () => {
    expect(text(encodeServerFrame(live, 'payload-sse'))).toBe(`id: ${position}\n\n`);
    expect(encodeServerFrame({ type: 'pong' }, 'payload-sse')).toHaveLength(0);
    expect(encodeServerFrame(live, 'payload')).toHaveLength(0);
    expect(encodeErrorFrame({ code: 'internal', message: 'm' }, {}, 'payload')).toHaveLength(0);
  });
});

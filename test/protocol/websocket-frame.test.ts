import { once } from 'node:events';
import type { Writable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import * as ws from 'ws';
import { ByteWriter } from '../../server/protocol/byte-writer.ts';
import { messageHead, writeMessageFrame } from '../../server/protocol/message-frame.ts';
import { textFrame } from '../../server/protocol/websocket-frame.ts';

/** Exported by the library, but not by its types. */
const { Receiver } = ws as unknown as { Receiver: new (options: object) => Writable };

/** What the receiving end of the `ws` library makes of one or more frames. */
async function received(bytes: Uint8Array, count = 1): Promise<string[]> {
  const receiver = new Receiver({ isServer: false, maxPayload: 1 << 28 });
  const texts: string[] = [];
  receiver.on('message', (data: Buffer, isBinary: boolean) => texts.push(isBinary ? 'binary' : data.toString()));
  receiver.end(bytes);
  await once(receiver, 'finish');
  expect(texts).toHaveLength(count);
  return texts;
}

describe('a text frame', () => {
  it.each([0, 1, 124, 125, 126, 127, 65_534, 65_535, 65_536, 65_537, 1_048_577])(
    'of %d bytes is read whole by another implementation',
    async (length) => {
      const text = 'x'.repeat(length);
      expect(await received(textFrame(text))).toEqual([text]);
    },
  );

  it('counts bytes, not characters', async () => {
    const text = '😀é'.repeat(21); // 126 bytes
    expect(await received(textFrame(text))).toEqual([text]);
  });
});

describe('a message frame', () => {
  const tail = { messageId: 'm', timestamp: 't', position: 'p' };

  it.each([0, 20, 30, 40, 50, 65_300, 65_400, 65_450, 65_500])(
    'with a payload of %d more bytes is one frame with the printed fields',
    async (length) => {
      const payload = { text: 'x'.repeat(length) };
      const out = new ByteWriter(0);
      writeMessageFrame(out, messageHead('db:"ö"', 'INSERT'), Buffer.from(JSON.stringify(payload)), tail);
      const [text] = await received(out.view(0));
      expect(JSON.parse(String(text))).toEqual({
        type: 'message',
        channel: 'db:"ö"',
        event: 'INSERT',
        payload,
        ...tail,
      });
    },
  );

  it('names its subscription where it is told to', async () => {
    const out = new ByteWriter(0);
    writeMessageFrame(out, messageHead('c', 'e'), Buffer.from('null'), { ...tail, subscriptionId: 's-1' });
    expect(JSON.parse(String((await received(out.view(0)))[0]))).toMatchObject({
      payload: null,
      subscriptionId: 's-1',
    });
  });

  it('follows others in one run of bytes', async () => {
    const out = new ByteWriter(16);
    for (const event of ['a', 'b', 'c']) writeMessageFrame(out, messageHead('c', event), Buffer.from('1'), tail);
    const events = (await received(out.view(0), 3)).map((text) => JSON.parse(text).event);
    expect(events).toEqual(['a', 'b', 'c']);
  });
});

// Owns the bytes of a `message` frame: a head that all messages of a channel and event share, the payload
// spliced in as it was encoded, and a tail of ASCII. Encoded once per variant, shared by all its receivers.
// Pure, and runs in a browser.

import type { ByteWriter } from './byte-writer.ts';
import { frameHeaderLength, writeFrameHeader } from './websocket-frame.ts';

const encoder = new TextEncoder();

/** What a message carries beside its payload; all of it ASCII but the head. */
export type MessageTail = {
  readonly messageId: string;
  readonly timestamp: string;
  readonly position: string;
  readonly subscriptionId?: string | undefined;
};

/** The shared bytes in front of the payload. */
export function messageHead(channelName: string, event: string): Uint8Array {
  return encoder.encode(
    `{"type":"message","channel":${JSON.stringify(channelName)},"event":${JSON.stringify(event)},"payload":`,
  );
}

/** Appends one whole WebSocket frame. */
export function writeMessageFrame(out: ByteWriter, head: Uint8Array, payload: Uint8Array, tail: MessageTail): void {
  const subscription = tail.subscriptionId === undefined ? '' : `","subscriptionId":"${tail.subscriptionId}`;
  const end = `,"messageId":"${tail.messageId}","timestamp":"${tail.timestamp}","position":"${tail.position}${subscription}"}`;
  const length = head.length + payload.length + end.length;
  out.reserve(frameHeaderLength(length) + length);
  out.length = writeFrameHeader(out.bytes, out.length, length);
  out.copy(head, 0, head.length);
  out.copy(payload, 0, payload.length);
  out.ascii(end);
}

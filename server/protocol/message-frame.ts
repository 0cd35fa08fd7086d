// Owns the bytes of a message in each dialect; of a `message` frame: a head that all messages of a channel and event share, the payload
// spliced in as it was encoded, and a tail of ASCII. Encoded once per variant, shared by all its receivers.
// Pure, and runs in a browser.

import type { ByteWriter } from './byte-writer.ts';
import type { Dialect } from './dialect.ts';
import { beginEvent, copyOnOneLine, endEvent } from './sse-event.ts';
import { frameHeaderLength, writeFrameHeader } from './websocket-frame.ts';

const encoder = new TextEncoder();

/** What a message carries beside its payload; all of it ASCII but the head and the sender. */
export type MessageTail = {
  readonly messageId: string;
  /** Null for published messages without one; absent where nobody publishes. */
  readonly senderId?: string | null | undefined;
  readonly timestamp: string;
  /** Absent where the message has no place in the order of everything. */
  readonly position?: string | undefined;
  readonly subscriptionId?: string | undefined;
};

/** The shared bytes in front of the payload. */
export function messageHead(channelName: string, event: string): Uint8Array {
  return encoder.encode(
    `{"type":"message","channel":${JSON.stringify(channelName)},"event":${JSON.stringify(event)},"payload":`,
  );
}

/** Appends the message as `dialect` tells it: one whole WebSocket frame, or one event. */
export function writeMessage(
  out: ByteWriter,
  dialect: Dialect,
  head: Uint8Array,
  payload: Uint8Array,
  tail: MessageTail,
): void {
  if (dialect === 'rowcast') return writeMessageFrame(out, head, payload, tail);
  if (dialect === 'payload') return writeWhole(out, NOTHING, payload, '');
  beginEvent(out, tail.position);
  if (dialect === 'sse') out.copy(head, 0, head.length);
  copyOnOneLine(out, payload);
  if (dialect === 'sse') out.ascii(endOf(tail));
  endEvent(out);
}

const NOTHING = new Uint8Array(0);

/** Appends one whole WebSocket frame. */
export function writeMessageFrame(out: ByteWriter, head: Uint8Array, payload: Uint8Array, tail: MessageTail): void {
  writeWhole(out, head, payload, endOf(tail));
}

function endOf(tail: MessageTail): string {
  const sender = tail.senderId === undefined ? '' : `,"senderId":${asciiJson(tail.senderId)}`;
  const position = tail.position === undefined ? '' : `,"position":"${tail.position}"`;
  const subscription = tail.subscriptionId === undefined ? '' : `,"subscriptionId":"${tail.subscriptionId}"`;
  return `,"messageId":"${tail.messageId}"${sender},"timestamp":"${tail.timestamp}"${position}${subscription}}`;
}

function writeWhole(out: ByteWriter, head: Uint8Array, payload: Uint8Array, end: string): void {
  const length = head.length + payload.length + end.length;
  out.reserve(frameHeaderLength(length) + length);
  out.length = writeFrameHeader(out.bytes, out.length, length);
  out.copy(head, 0, head.length);
  out.copy(payload, 0, payload.length);
  out.ascii(end);
}

/** JSON in ASCII alone, so that its characters are its bytes. */
function asciiJson(text: string | null): string {
  const json = JSON.stringify(text);
  return ASCII.test(json) ? json : json.replace(BEYOND_ASCII, escaped);
}

const ASCII = /^[ -~]*$/;
const BEYOND_ASCII = /[^ -~]/g;

function escaped(unit: string): string {
  return `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`;
}

// Owns the form in which row changes enter realtime.changes: PGCOPY binary
// (https://www.postgresql.org/docs/18/sql-copy.html, Binary Format), spliced from bytes that are encoded
// already. When they are written is the journal's.

import type { KeptChange } from '../changes/change-message.ts';
import { ByteWriter } from '../protocol/byte-writer.ts';
import { writeJsonString } from '../protocol/json-string.ts';
import { NO_TARGETS, type WebhookTargets } from './webhook-targets.ts';

export const COPY_CHANGES = `copy realtime.changes
  (position, committed_at, xid, relation, op, old_image, new_image, payload, ws_audience_count, wh_audience_count)
  from stdin with (format binary)`;

const COLUMN_COUNT = 10;
const SIGNATURE = Buffer.from('PGCOPY\n\xff\r\n\0', 'latin1');
const JSONB_VERSION = 1;
const END_OF_DATA = -1;
const NULL_LENGTH = -1;

/** Appends a payload in a form that jsonb takes. */
export type EncodePayload = (out: ByteWriter, payload: Uint8Array) => void;

/** The payload itself: what history holds of nearly every change. */
export const JSON_AS_IS: EncodePayload = (out, payload) => out.copy(payload, 0, payload.length);

/** `{"text":"…"}`: the payload as text, where jsonb cannot hold it. */
export const JSON_AS_TEXT: EncodePayload = (out, payload) => {
  out.ascii('{"text":');
  writeJsonString(out, payload, 0, payload.length);
  out.ascii('}');
};

/** A row change on its way into history. */
export type JournaledChange = { readonly message: KeptChange; readonly audienceCount: number; readonly bytes: number };

/** A chunk has at least so many bytes, but for the last. */
const CHUNK_BYTES = 1024 * 1024;

/**
 * The rows of `entries` as one COPY stream, chunk by chunk: PostgreSQL takes one in while the next is made. `fullXid`
 * widens the 32 bits of a transaction id; `targets` says how many webhook deliveries each gets.
 */
export function* encodeHistory(
  entries: readonly JournaledChange[],
  fullXid: (xid: number) => bigint,
  encodePayload: EncodePayload,
  targets: Pick<WebhookTargets, 'countOf'> = NO_TARGETS,
): Generator<Uint8Array> {
  let out = new ByteWriter(CHUNK_BYTES + CHUNK_BYTES / 4);
  writeHeader(out);
  for (const entry of entries) {
    writeRow(out, entry, fullXid, encodePayload);
    out.int32(4);
    out.int32(targets.countOf(entry.message.channel, entry.message.event));
    if (out.length < CHUNK_BYTES) continue;
    yield out.view(0);
    out = new ByteWriter(CHUNK_BYTES + CHUNK_BYTES / 4);
  }
  out.int16(END_OF_DATA);
  yield out.view(0);
}

function writeHeader(out: ByteWriter): void {
  out.copy(SIGNATURE, 0, SIGNATURE.length);
  out.int32(0); // flags
  out.int32(0); // length of the header's extension
}

function writeRow(
  out: ByteWriter,
  { message, audienceCount }: JournaledChange,
  fullXid: (xid: number) => bigint,
  encodePayload: EncodePayload,
): void {
  out.int16(COLUMN_COUNT);
  writeText(out, message.position);
  out.int32(8);
  out.int64(message.transaction.commitMicros);
  out.int32(8);
  out.int64(fullXid(message.transaction.xid));
  writeText(out, message.channel.slice('db:'.length));
  writeText(out, message.event);
  writeJsonb(out, message.oldImage, JSON_AS_IS);
  writeJsonb(out, message.newImage, JSON_AS_IS);
  writeJsonb(out, message.payload, encodePayload);
  out.int32(4);
  out.int32(audienceCount);
}

function writeText(out: ByteWriter, text: string): void {
  const lengthAt = out.length;
  out.int32(0);
  out.text(text);
  out.patchInt32(lengthAt, out.length - lengthAt - 4);
}

function writeJsonb(out: ByteWriter, json: Uint8Array | null, encode: EncodePayload): void {
  if (json === null) return out.int32(NULL_LENGTH);
  const lengthAt = out.length;
  out.int32(0);
  out.byte(JSONB_VERSION);
  encode(out, json);
  out.patchInt32(lengthAt, out.length - lengthAt - 4);
}

// Owns the bytes of server-sent events (WHATWG HTML, section 9.2): an id, by which a client that comes back says where it
// stood, and JSON as one line of data. Built once, and shared by all who get it. Pure, and runs in a browser.

import { ByteWriter } from './byte-writer.ts';

const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;
const SPACE = 0x20;

/** What `data:`, an id and the ends of lines take at most. */
const EVENT_OVERHEAD_BYTES = 80;

/** Begins an event; what is copied behind it, up to `endEvent`, is its data. */
export function beginEvent(out: ByteWriter, id: string | undefined): void {
  if (id !== undefined) out.ascii(`id: ${id}\n`);
  out.ascii('data: ');
}

/** Appends JSON. Between its values it may hold ends of lines, which would be ends of the data: they become spaces. */
export function copyOnOneLine(out: ByteWriter, json: Uint8Array): void {
  const from = out.length;
  out.copy(json, 0, json.length);
  const { bytes } = out;
  for (let at = from; at < out.length; at++) {
    if (bytes[at] === LINE_FEED || bytes[at] === CARRIAGE_RETURN) bytes[at] = SPACE;
  }
}

export function endEvent(out: ByteWriter): void {
  out.ascii('\n\n');
}

/** One whole event of JSON without ends of lines, as JSON.stringify makes it. */
export function textEvent(json: string, id?: string | undefined): Uint8Array {
  const out = new ByteWriter(json.length + EVENT_OVERHEAD_BYTES);
  beginEvent(out, id);
  out.text(json);
  endEvent(out);
  return out.view(0);
}

/** Says where the client stands from here on, and nothing that its page would see. */
export function idEvent(id: string): Uint8Array {
  const out = new ByteWriter(EVENT_OVERHEAD_BYTES);
  out.ascii(`id: ${id}\n\n`);
  return out.view(0);
}

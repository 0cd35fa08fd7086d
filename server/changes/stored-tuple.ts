// Owns the writing of tuples as the stream sends them (protocol-logicalrep-message-formats, TupleData), so that whoever
// reads rows of the stream can read those of history.

import type { ByteWriter } from '../protocol/byte-writer.ts';
import type { Tuple } from '../replication/wal-entry.ts';

/** Of one column: its exact text, null for SQL's null, undefined for a large value that was not sent again. */
export type ColumnText = string | null | undefined;

const NULL = 0x6e;
const TEXT = 0x74;
const UNCHANGED = 0x75;

/** Appends a tuple of these columns. It stays readable whatever is appended behind it. */
export function writeTuple(out: ByteWriter, columns: readonly ColumnText[]): Tuple {
  const start = out.length;
  out.int16(columns.length);
  for (const text of columns) writeColumn(out, text);
  return { bytes: out.bytes, offset: start, end: out.length };
}

function writeColumn(out: ByteWriter, text: ColumnText): void {
  if (text === null) return out.byte(NULL);
  if (text === undefined) return out.byte(UNCHANGED);
  out.byte(TEXT);
  const lengthAt = out.length;
  out.int32(0);
  out.text(text);
  out.patchInt32(lengthAt, out.length - lengthAt - 4);
}

// Owns the bytes of a `snapshot` frame, whose rows are JSON already: they are spliced in, as payloads are. Pure, and
// runs in a browser.

import { frameHeaderLength, writeFrameHeader } from './websocket-frame.ts';

export type SnapshotFrame = {
  /** As the client spelled it. */
  readonly channel: string;
  readonly subscriptionId: string;
  /** Columns that name a row; empty where nothing does. */
  readonly key: readonly string[];
  /** A JSON array. */
  readonly rows: Uint8Array;
  /** Places in `rows` of those that were too large, and are here with their key alone. */
  readonly truncated: readonly number[];
  /** Nothing more of the snapshot comes. */
  readonly done: boolean;
};

const encoder = new TextEncoder();

/** One whole WebSocket frame. */
export function encodeSnapshotFrame({ rows, truncated, done, ...about }: SnapshotFrame): Uint8Array {
  const head = encoder.encode(`${JSON.stringify({ type: 'snapshot', ...about }).slice(0, -1)},"rows":`);
  const cut = truncated.length === 0 ? '' : `,"truncated":${JSON.stringify(truncated)}`;
  const tail = encoder.encode(`,"done":${done}${cut}}`);
  const length = head.length + rows.length + tail.length;
  const frame = new Uint8Array(frameHeaderLength(length) + length);
  const at = writeFrameHeader(frame, 0, length);
  frame.set(head, at);
  frame.set(rows, at + head.length);
  frame.set(tail, at + head.length + rows.length);
  return frame;
}

// Owns the frames a server sends apart from `message`, whose bytes are spliced by the changes room.
// Field order is the printed order of the base API, then what Rowcast adds.

import type { Position } from '../lib/position.ts';
import type { Ref } from './client-frame.ts';
import type { Dialect } from './dialect.ts';
import { isRetryable, type Refusal } from './error-codes.ts';
import { idEvent, textEvent } from './sse-event.ts';
import { textFrame } from './websocket-frame.ts';

export type Warning = { readonly code: string; readonly message: string };

/** Why the server ends what a decision had allowed. */
export type EndReason = 'channel_deleted' | 'channel_disabled' | 'not_allowed' | 'table_unwatched';
/** Why what was missed is not replayed. */
export type UnrecoveredReason = 'expired' | 'epoch_changed' | 'unknown' | 'not_persisted';
export type GapReason = 'epoch_changed' | 'partition_changed' | 'retention' | 'wal_fuse' | 'not_judged';
export type StreamStatus = 'streaming' | 'stalled' | 'slot_lost' | 'standby';

type Replies = { readonly ref?: Ref | undefined };

export type ServerFrame =
  | (Replies & {
      readonly type: 'auth_success';
      readonly userId: string | null;
      readonly role: string;
      readonly expiresAt: string | null;
    })
  | (Replies & {
      readonly type: 'subscribed';
      readonly channel: string;
      readonly subscriptionId: string;
      readonly position: Position;
      readonly recovered?: boolean | undefined;
      readonly reason?: UnrecoveredReason | undefined;
      readonly warnings?: readonly Warning[] | undefined;
    })
  | (Replies & {
      readonly type: 'unsubscribed';
      readonly channel: string;
      readonly subscriptionId?: string | undefined;
      readonly reason?: EndReason | 'snapshot_failed' | 'replay_failed' | undefined;
    })
  | (Replies & {
      readonly type: 'published';
      readonly messageId: string;
      readonly channel: string;
      readonly event: string;
    })
  | (Replies & { readonly type: 'pong' })
  | { readonly type: 'live'; readonly channel: string; readonly subscriptionId: string; readonly position: Position }
  | {
      readonly type: 'gap';
      readonly channel?: string | undefined;
      readonly subscriptionId?: string | undefined;
      readonly reason: GapReason;
      readonly from: Position | null;
      readonly to: Position;
    }
  | { readonly type: 'system'; readonly status: StreamStatus; readonly lagBytes: number | null; readonly since: string }
  | { readonly type: 'token_expiring'; readonly expiresAt: string };

/** The wire bytes of `frame` in `dialect`: one WebSocket text frame, one event, or nothing. */
export function encodeServerFrame(frame: ServerFrame, dialect: Dialect): Uint8Array {
  return encodeIn(dialect, frame, idOf(frame));
}

/** The wire bytes of an `error` frame; `detail` only goes to admins, and is the caller's to leave out. */
export function encodeErrorFrame(
  refusal: Refusal,
  context: { ref?: Ref | undefined; channel?: string | undefined },
  dialect: Dialect,
): Uint8Array {
  const { code, message, detail } = refusal;
  return encodeIn(dialect, { type: 'error', message, code, retryable: isRetryable(code), ...context, detail });
}

function encodeIn(dialect: Dialect, frame: object, id?: string | undefined): Uint8Array {
  switch (dialect) {
    case 'rowcast':
      return textFrame(JSON.stringify(frame));
    case 'sse':
      return textEvent(JSON.stringify(frame), id);
    case 'payload':
      return NOTHING;
    case 'payload-sse':
      return id === undefined ? NOTHING : idEvent(id);
  }
}

const NOTHING = new Uint8Array(0);

/**
 * Where a client stands that has got this frame and all before it. Behind a `subscribed` with a `recovered` something
 * is still to come that lies before its position; `live` says when it has come.
 */
function idOf(frame: ServerFrame): Position | undefined {
  if (frame.type === 'live') return frame.position;
  return frame.type === 'subscribed' && frame.recovered === undefined ? frame.position : undefined;
}

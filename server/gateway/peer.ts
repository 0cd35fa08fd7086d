// Owns the shape of what frame handlers may do with their client: read its connection and answer it.

import type { Connection } from '../hub/connection.ts';
import type { Ref } from '../protocol/client-frame.ts';
import type { Refusal } from '../protocol/error-codes.ts';
import type { ServerFrame } from '../protocol/server-frame.ts';

export type ReplyContext = { readonly ref?: Ref | undefined; readonly channel?: string | undefined };

/** An authenticated client, as a frame handler sees it. */
export interface Peer {
  readonly connection: Connection;
  /** The address that limits are counted by. */
  readonly address: string;
  /** False once the socket is closing: look again after every await. */
  readonly isOpen: boolean;
  /** Queues a frame behind all that is queued for the client. */
  reply(frame: ServerFrame): void;
  refuse(refusal: Refusal, context: ReplyContext): void;
}

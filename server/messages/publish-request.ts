// Owns the vocabulary of publishing: what is asked for, what comes of it, and whom it is handed to that is not
// written. Names have been judged by whoever asks; access has not.

import type { CanonicalChannel } from '../protocol/channel-name.ts';
import type { Refusal } from '../protocol/error-codes.ts';

export type PublishRequest = {
  readonly channel: CanonicalChannel;
  readonly event: string;
  /** JSON, exactly as it was sent. */
  readonly payload: string;
  /** Chosen by the publisher: the same one again is the same message. */
  readonly id?: string | undefined;
};

export type Published = { readonly messageId: string; readonly isEphemeral: boolean };

export type PublishResult =
  | { readonly ok: true; readonly published: readonly Published[] }
  /** Nothing of the list was published. `index` is the message at fault; null where that is not known. */
  | { readonly ok: false; readonly refusal: Refusal; readonly index: number | null };

/** A message that was allowed and is not written. */
export type EphemeralMessage = {
  readonly channel: CanonicalChannel;
  readonly event: string;
  /** JSON. */
  readonly payload: string;
  readonly messageId: string;
  readonly senderId: string | null;
  /** The socket that published it; null for REST. */
  readonly connectionId: string | null;
  /** RFC 3339 in UTC. */
  readonly timestamp: string;
};

/** Hands a message to everyone who is subscribed; returns to how many subscriptions. */
export type FanOut = (message: EphemeralMessage) => number;

// Owns what publishing has in common, whether by a frame or by a request: how often a user may, which names can be
// published to at all, and the counting of what came of it. Access is the publisher's to decide.

import type { Identity } from '../auth/identity.ts';
import type { Published, PublishRequest, PublishResult } from '../messages/publish-request.ts';
import { isReservedChannel, isReservedEvent } from '../policies/reserved-name.ts';
import { type CanonicalChannel, parseChannelName } from '../protocol/channel-name.ts';
import type { Refusal } from '../protocol/error-codes.ts';
import type { Metrics } from '../stats/metrics.ts';
import type { KeyedRate } from './keyed-rate.ts';
import { limitKey } from './limit-key.ts';
import { isUuid } from './uuid-schema.ts';

/** What the messages room does; rejects for what only the operator can mend. */
export interface MessagePublisher {
  publish(identity: Identity, connectionId: string | null, requests: readonly PublishRequest[]): Promise<PublishResult>;
}

export type PublishIntakeDeps = {
  readonly publisher: MessagePublisher;
  /** Undefined: rate limits are off. */
  readonly rate: KeyedRate | undefined;
  readonly metrics: Pick<Metrics, 'published' | 'rateLimited'>;
};

/** Who publishes, and how. */
export type Origin = {
  readonly via: 'socket' | 'rest';
  readonly identity: Identity;
  /** As limits count it. */
  readonly address: string;
  /** Null for REST. */
  readonly connectionId: string | null;
};

/** A message as it was sent: it fits its schema, and its channel is any text. */
export type GivenMessage = Omit<PublishRequest, 'channel'> & { readonly channel: string };

export type PublishOutcome =
  | { readonly ok: true; readonly published: readonly Published[] }
  | {
      readonly ok: false;
      readonly refusal: Refusal;
      /** The message at fault; null for none in particular. */
      readonly index: number | null;
      /** Set where it may be tried again then. */
      readonly retryAfterMs?: number | undefined;
    };

const MAX_EVENT_LENGTH = 200;

export class PublishIntake {
  readonly #deps: PublishIntakeDeps;

  constructor(deps: PublishIntakeDeps) {
    this.#deps = deps;
  }

  /** Messages a second that a user may publish; undefined for any number. */
  get perSecond(): number | undefined {
    return this.#deps.rate?.perSecond;
  }

  /** Publishes all of `messages`, or none. Rejects only for what is no fault of the publisher. */
  async take(origin: Origin, messages: readonly GivenMessage[]): Promise<PublishOutcome> {
    const { via } = origin;
    const { published } = this.#deps.metrics;
    try {
      const outcome = await this.#publish(origin, messages);
      if (outcome.ok) published.inc({ via, outcome: 'published' }, messages.length);
      else published.inc({ via, outcome: outcome.refusal.code });
      return outcome;
    } catch (error) {
      published.inc({ via, outcome: 'internal' });
      throw error;
    }
  }

  async #publish(origin: Origin, messages: readonly GivenMessage[]): Promise<PublishOutcome> {
    const { rate, metrics, publisher } = this.#deps;
    const { identity, address, connectionId } = origin;
    const retryAfterMs = rate?.take(limitKey(identity, address), messages.length) ?? 0;
    if (retryAfterMs > 0) {
      metrics.rateLimited.inc({ kind: 'publishes' });
      return { ok: false, refusal: tooMany(rate?.perSecond), index: null, retryAfterMs };
    }
    const requests: PublishRequest[] = [];
    for (const [index, message] of messages.entries()) {
      const read = readNames(message);
      if (!read.ok) return { ok: false, refusal: read.refusal, index };
      requests.push({ ...message, channel: read.channel });
    }
    return publisher.publish(identity, connectionId, requests);
  }
}

type ReadNames =
  | { readonly ok: true; readonly channel: CanonicalChannel }
  | { readonly ok: false; readonly refusal: Refusal };

// Before access is decided, and so the same for channels that exist and channels that do not.
function readNames({ channel, event, id }: GivenMessage): ReadNames {
  if (isReservedChannel(channel)) return refuse('reserved_name', 'This channel name is reserved');
  if (isReservedEvent(event)) return refuse('reserved_name', 'This event name is reserved');
  const parsed = parseChannelName(channel);
  if (!parsed.ok) return { ok: false, refusal: ofPublishing(parsed.refusal) };
  if (!isEventName(event)) return refuse('bad_name', `an event name has 1 to ${MAX_EVENT_LENGTH} characters`);
  if (id !== undefined && !isUuid(id)) return refuse('bad_frame', 'id is a UUID');
  return { ok: true, channel: parsed.channel.canonical };
}

// As SQL's length() counts, and what a text of Postgres holds as it was sent.
function isEventName(event: string): boolean {
  if (event === '' || event.includes('\0') || !event.isWellFormed()) return false;
  return event.length <= MAX_EVENT_LENGTH || [...event].length <= MAX_EVENT_LENGTH;
}

function ofPublishing(refusal: Refusal): Refusal {
  if (refusal.code !== 'wildcard_not_supported') return refusal;
  return { ...refusal, message: 'Only concrete channel names can be published to, not patterns' };
}

function tooMany(perSecond: number | undefined): Refusal {
  return { code: 'rate_limited', message: `Too many messages: a user may publish ${perSecond} a second` };
}

function refuse(code: Refusal['code'], message: string): ReadNames {
  return { ok: false, refusal: { code, message } };
}

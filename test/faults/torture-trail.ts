// Owns what one subscription saw over all its connections, in order of arrival, as lean as a million deliveries
// ask for; and what all subscriptions together know of a message: one position, one id, one content, for ever.

import type { ChangeFrame } from '../app/test-client.ts';
import type { Due, Interest } from './torture-interest.ts';

/** A message as it was seen, shared by all trails that it is in. */
export type Seen = {
  readonly position: string;
  readonly messageId: string;
  readonly event: string;
  /** What tells this message from others, in the form of `Due`. */
  readonly content: string;
};

export type TrailEntry =
  /** Subscribed without a past: from `position` on everything will come. */
  | { readonly kind: 'fresh'; readonly position: string }
  /** Subscribed to the rows at some moment above `position`; what these do not contain comes, then `live`. */
  | { readonly kind: 'snapshot'; readonly position: string }
  /** Subscribed again: everything above `since` will come. */
  | { readonly kind: 'recovered'; readonly since: string }
  /** The same could not be promised, and was said. */
  | { readonly kind: 'unrecovered'; readonly position: string; readonly reason: string }
  | { readonly kind: 'message'; readonly seen: Seen }
  | { readonly kind: 'live'; readonly position: string }
  | { readonly kind: 'gap'; readonly from: string | null; readonly to: string; readonly reason: string }
  /** A message of a live subscription came behind a higher one of another on the same connection. */
  | { readonly kind: 'crossed'; readonly seen: Seen; readonly behind: string };

export class Trail {
  readonly name: string;
  readonly interest: Interest;
  readonly entries: TrailEntry[] = [];
  /** The last position seen: what a resume asks for. */
  position: string | undefined;
  messages = 0;

  constructor(name: string, interest: Interest) {
    this.name = name;
    this.interest = interest;
  }

  add(entry: TrailEntry): void {
    this.entries.push(entry);
    const at = positionOf(entry);
    if (at !== undefined) this.position = at;
    if (entry.kind === 'message') this.messages++;
  }
}

/** Whether it got to the end of what is due to it. */
export function isWhole({ position = '' }: Trail, due: readonly Due[]): boolean {
  return position.slice(EPOCH_LENGTH) >= (due.at(-1)?.place ?? '');
}

/** `<epoch>-` of a position; the rest is its place. */
export const EPOCH_LENGTH = 9;

function positionOf(entry: TrailEntry): string | undefined {
  switch (entry.kind) {
    case 'message':
      return entry.seen.position;
    case 'gap':
      return entry.to;
    case 'fresh':
    case 'snapshot':
    case 'unrecovered':
    case 'live':
      return entry.position;
    default:
      return undefined;
  }
}

export class Sightings {
  readonly #seen = new Map<string, Seen>();
  readonly #idOf = new Map<string, string>();
  readonly #positionOf = new Map<string, string>();
  /** Where a message had two ids, an id two positions, or a message two contents. */
  readonly disputes: string[] = [];
  deliveries = 0;

  /** What a `message` frame says. */
  see({
    position,
    messageId,
    event,
    payload,
  }: Pick<ChangeFrame, 'position' | 'messageId' | 'event' | 'payload'>): Seen {
    this.deliveries++;
    const content = contentOf(messageId, payload);
    const key = `${position} ${event}`;
    const known = this.#seen.get(key);
    if (known?.messageId === messageId && known.content === content) return known;
    if (known !== undefined && known.content !== content) this.#dispute(`${key}: ${known.content}, then ${content}`);
    this.#oneToOne(position, messageId);
    const seen = { position, messageId, event, content };
    this.#seen.set(key, seen);
    return seen;
  }

  #oneToOne(position: string, messageId: string): void {
    const [id, place] = [this.#idOf.get(position), this.#positionOf.get(messageId)];
    if (id !== undefined && id !== messageId) this.#dispute(`${position} is ${id} and ${messageId}`);
    if (place !== undefined && place !== position) this.#dispute(`${messageId} is at ${place} and ${position}`);
    this.#idOf.set(position, messageId);
    this.#positionOf.set(messageId, position);
  }

  #dispute(text: string): void {
    if (this.disputes.length < 20) this.disputes.push(text);
  }
}

/** Of a row its values, of a deleted one its key, of a published message its id. */
function contentOf(messageId: string, payload: ChangeFrame['payload']): string {
  if (payload.new) return Object.values(payload.new).join('|');
  return payload.old ? String(payload.old.id) : messageId;
}

// Owns the slices of history that were read a moment ago: after a restart many come back at once and want nearly the
// same. Whoever's position lies within a slice takes the rest of it, and all end at the same places from then on. Few
// are kept, and not for long: a rule that changed is asked for each of them anyway, a table that changed is read anew.

import type { Position } from '../lib/position.ts';
import type { CanonicalChannel } from '../protocol/channel-name.ts';
import type { ReplayedSlice } from './replay-source.ts';

type Kept = {
  readonly channel: CanonicalChannel;
  readonly after: string;
  readonly last: Position;
  readonly slice: ReplayedSlice;
  readonly readAt: number;
};

const MOST_SLICES = 32;
const FRESH_MS = 3_000;

export class SliceCache {
  readonly #now: () => number;
  readonly #reading = new Map<string, Promise<ReplayedSlice | undefined>>();
  #kept: readonly Kept[] = [];

  /** `now` gives milliseconds of a monotonic clock. */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** A slice of `channel` behind `after`: kept, being read already, or read by `read`. */
  async get(
    channel: CanonicalChannel,
    after: string,
    read: () => Promise<ReplayedSlice | undefined>,
  ): Promise<ReplayedSlice | undefined> {
    const known = this.#find(channel, after);
    if (known !== undefined) return restOf(known, after);
    const key = `${channel} ${after}`;
    const reading = this.#reading.get(key) ?? this.#read(channel, after, key, read);
    return await reading;
  }

  #read(
    channel: CanonicalChannel,
    after: string,
    key: string,
    read: () => Promise<ReplayedSlice | undefined>,
  ): Promise<ReplayedSlice | undefined> {
    const readAt = this.#now();
    const reading = read().finally(() => this.#reading.delete(key));
    this.#reading.set(key, reading);
    return reading.then((slice) => {
      if (slice?.last !== undefined) this.#keep({ channel, after, last: slice.last, slice, readAt });
      return slice;
    });
  }

  #find(channel: CanonicalChannel, after: string): Kept | undefined {
    const freshFrom = this.#now() - FRESH_MS;
    return this.#kept.find(
      (kept) => kept.readAt >= freshFrom && kept.channel === channel && kept.after <= after && after < kept.last,
    );
  }

  #keep(kept: Kept): void {
    const freshFrom = this.#now() - FRESH_MS;
    this.#kept = [...this.#kept.filter(({ readAt }) => readAt >= freshFrom).slice(1 - MOST_SLICES), kept];
  }
}

// What lay behind its end may have been written since.
function restOf({ slice }: Kept, after: string): ReplayedSlice {
  const messages = slice.messages.filter(({ position }) => position > after);
  return { ...slice, messages, isEnd: false };
}

// Owns what waits to be journaled: messages and commits in their order, counted in bytes. Fan-out may run
// ahead of the journal by so much and no more; who is over the bound waits, and the stream with it.

import type { ChangeMessage, KeptChange, Message } from '../changes/change-message.ts';
import type { KeptPublication, PublishedMessage } from '../changes/published-message.ts';
import type { Lsn, Position } from '../lib/position.ts';
import type { CanonicalChannel } from '../protocol/channel-name.ts';

export type JournalEntry = {
  readonly message: KeptChange | KeptPublication;
  /** Subscriptions it was written to at first fan-out. */
  readonly audienceCount: number;
  readonly bytes: number;
};

export type JournalCommit = { readonly lsn: Lsn; readonly endLsn: Lsn };

/** What one journal transaction covers. */
export type JournalBatch = {
  readonly entries: readonly JournalEntry[];
  /** The last source transaction that is whole with it; undefined while one is still under way. */
  readonly commit: JournalCommit | undefined;
  /** Channels of which changes were delivered and are not kept, each with the position of the last one. */
  readonly skipped: ReadonlyMap<CanonicalChannel, Position>;
};

const NOTHING_SKIPPED: JournalBatch['skipped'] = new Map();

/** What an entry weighs beside its payload and images. */
const ENTRY_OVERHEAD_BYTES = 300;

export class JournalQueue {
  readonly #maxBytes: number;
  #entries: JournalEntry[] = [];
  /** Each with how many entries have to be taken before it, counted from the first ever pushed. */
  #commits: { readonly commit: JournalCommit; readonly after: number }[] = [];
  #skipped = new Map<CanonicalChannel, Position>();
  #taken = 0;
  #bytes = 0;
  #onWork: (() => void) | undefined;
  #onRoom: (() => void) | undefined;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get isEmpty(): boolean {
    return this.#entries.length === 0 && this.#commits.length === 0;
  }

  push(message: Message, audienceCount: number): void {
    const kept = message.kind === 'change' ? keptChange(message) : keptPublication(message);
    const bytes = ENTRY_OVERHEAD_BYTES + (message.kind === 'change' ? changeBytes(message) : 0);
    this.#entries.push({ message: kept, audienceCount, bytes });
    this.#bytes += bytes;
  }

  /** Changes of `channel` up to `position` are not kept: history has to say so. */
  skip(channel: CanonicalChannel, position: Position): void {
    this.#skipped.set(channel, position);
  }

  /** A source transaction is complete. Its changes, if any are kept, were pushed before. */
  commit(lsn: Lsn, endLsn: Lsn): void {
    this.#commits.push({ commit: { lsn, endLsn }, after: this.#taken + this.#entries.length });
  }

  /** Tells the journal that there is work. */
  wake(): void {
    const onWork = this.#onWork;
    this.#onWork = undefined;
    onWork?.();
  }

  /** Takes up to `maxEntries`, and the last commit that they make whole: under load the queue is never empty. */
  take(maxEntries: number): JournalBatch {
    const entries = this.#entries.slice(0, maxEntries);
    this.#entries = this.#entries.slice(maxEntries);
    this.#taken += entries.length;
    const whole = this.#commits.findLastIndex(({ after }) => after <= this.#taken);
    const commit = this.#commits[whole]?.commit;
    this.#commits = this.#commits.slice(whole + 1);
    const skipped = this.#skipped.size === 0 ? NOTHING_SKIPPED : this.#skipped;
    if (this.#skipped.size > 0) this.#skipped = new Map();
    return { entries, commit, skipped };
  }

  /** Frees the room of a batch once it is written. */
  release(batch: JournalBatch): void {
    for (const entry of batch.entries) this.#bytes -= entry.bytes;
    if (this.#bytes > this.#maxBytes) return;
    const onRoom = this.#onRoom;
    this.#onRoom = undefined;
    onRoom?.();
  }

  /** Resolves when the queue is within its bound, or `signal` is aborted. */
  room(signal: AbortSignal): Promise<void> {
    if (this.#bytes <= this.#maxBytes) return Promise.resolve();
    return settled(signal, (resolve) => {
      this.#onRoom = resolve;
    });
  }

  /** Resolves when there is something to take, or `signal` is aborted. */
  work(signal: AbortSignal): Promise<void> {
    if (!this.isEmpty) return Promise.resolve();
    return settled(signal, (resolve) => {
      this.#onWork = resolve;
    });
  }
}

function changeBytes({ payload, oldImage, newImage }: ChangeMessage): number {
  return payload.length + (oldImage?.length ?? 0) + (newImage?.length ?? 0);
}

// Its bytes are those of the batch that it came in.
function keptPublication(message: PublishedMessage): KeptPublication {
  const { kind, channel, event, transaction, position, messageId, timestamp } = message;
  return { kind, channel, event, transaction, position, messageId, timestamp };
}

// Without the bytes that the row came in: they would be held for as long as it waits here, and are not counted.
// Field by field: this is done for every change.
function keptChange(message: ChangeMessage): KeptChange {
  const { kind, channel, relation, event, transaction, position, messageId, timestamp, payload } = message;
  const { oldImage, newImage } = message;
  return {
    kind,
    channel,
    relation,
    event,
    transaction,
    position,
    messageId,
    timestamp,
    payload,
    oldImage,
    newImage,
  };
}

function settled(signal: AbortSignal, wait: (resolve: () => void) => void): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const done = (): void => {
      signal.removeEventListener('abort', done);
      resolve();
    };
    signal.addEventListener('abort', done, { once: true });
    wait(done);
  });
}

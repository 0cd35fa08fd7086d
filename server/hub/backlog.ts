// Owns what becomes of the bytes delivered to a subscription that is not live yet. While it is behind they are dropped: it
// reads them from history. While the last piece of history is on its way they are held, in bounded memory; what
// does not fit is lost, and the subscription is behind again. Pure memory; who replays is delivery's.

/** What all backlogs hold together. Bytes that several hold are shared, and count once. */
export class HeldBytes {
  readonly #maxBytes: number;
  readonly #holders = new Map<Uint8Array, number>();
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** One more holds `chunk`; false if there is no room for it. */
  take(chunk: Uint8Array): boolean {
    const holders = this.#holders.get(chunk) ?? 0;
    if (holders === 0 && this.#bytes + chunk.length > this.#maxBytes) return false;
    if (holders === 0) this.#bytes += chunk.length;
    this.#holders.set(chunk, holders + 1);
    return true;
  }

  /** One less holds `chunk`. */
  give(chunk: Uint8Array): void {
    const holders = this.#holders.get(chunk) ?? 0;
    if (holders > 1) return void this.#holders.set(chunk, holders - 1);
    if (this.#holders.delete(chunk)) this.#bytes -= chunk.length;
  }
}

export type BacklogState =
  /** Drops what is delivered. */
  | 'behind'
  /** Keeps it. */
  | 'held'
  /** Kept it until something did not fit; drops it again. */
  | 'overflown';

export class Backlog {
  readonly #all: HeldBytes;
  #state: BacklogState = 'behind';
  #chunks: Uint8Array[] = [];
  /** Taken, and not yet sent. */
  #taken: Uint8Array[] = [];

  /** Holds as much as `all` has room for. */
  constructor(all: HeldBytes) {
    this.#all = all;
  }

  get state(): BacklogState {
    return this.#state;
  }

  /** Keeps what is delivered from here on. */
  hold(): void {
    this.#drop();
    this.#state = 'held';
  }

  push(bytes: Uint8Array): void {
    if (this.#state !== 'held') return;
    if (this.#all.take(bytes)) this.#chunks.push(bytes);
    else this.lose();
  }

  /** Takes everything. It counts as held until `sent` says that it is on its way. */
  takeAll(): readonly Uint8Array[] {
    const taken = this.#chunks;
    this.#chunks = [];
    this.#taken = [...taken];
    return taken;
  }

  /** The next one of what was taken is on its way. */
  sent(): void {
    const chunk = this.#taken.shift();
    if (chunk !== undefined) this.#all.give(chunk);
  }

  /** What is held cannot be used: it did not fit, or was made for another spec. What was taken still can. */
  lose(): void {
    this.#letGo(this.#chunks);
    this.#chunks = [];
    if (this.#state === 'held') this.#state = 'overflown';
  }

  /** Lets go of everything. */
  close(): void {
    this.#drop();
    this.#state = 'behind';
  }

  #drop(): void {
    this.#letGo(this.#chunks);
    this.#letGo(this.#taken);
    this.#chunks = [];
    this.#taken = [];
  }

  #letGo(chunks: readonly Uint8Array[]): void {
    for (const chunk of chunks) this.#all.give(chunk);
  }
}

// Owns what waits to be written to one socket: a queue of shared wire bytes, bounded by whoever watches
// `queuedBytes`. Chunks are written in slices and the rest stays here, so that a reader that is closed as
// too slow still gets its close frame behind at most one slice. Frames, codes and SQL are unknown here.

/** The writing end that the gateway gives: a socket, or a test's array. */
export interface Sink {
  /** Takes bytes; false means: write no more until `Outbox.drained()` is called. */
  write(chunk: Uint8Array): boolean;
}

const SLICE_BYTES = 256 * 1024;

export class Outbox {
  readonly #sink: Sink;
  readonly #now: () => number;
  #queue: Uint8Array[] = [];
  #head = 0;
  #queuedBytes = 0;
  #blocked = false;
  #closed = false;
  #inSinkBytes = 0;
  #progressAt: number;
  #waiters: { readonly bytes: number; readonly resolve: () => void }[] = [];

  constructor(sink: Sink, now: () => number) {
    this.#sink = sink;
    this.#now = now;
    this.#progressAt = now();
  }

  /** Bytes that the socket has not taken yet, those it holds unsent included. */
  get queuedBytes(): number {
    return this.#queuedBytes + this.#inSinkBytes;
  }

  /** When the socket last drained or was not blocked, in milliseconds of the injected clock. */
  get progressAt(): number {
    return this.#blocked ? this.#progressAt : this.#now();
  }

  /** Queues `chunk` without copying it; `flush` writes. After `close` it is dropped. */
  push(chunk: Uint8Array): void {
    if (this.#closed) return;
    this.#queue.push(chunk);
    this.#queuedBytes += chunk.length;
  }

  /** Writes what the socket takes; several chunks leave in one write. */
  flush(): void {
    while (!this.#blocked && this.#queuedBytes > 0) {
      const slice = this.#takeSlice();
      this.#queuedBytes -= slice.length;
      if (!this.#sink.write(slice)) this.#block(slice.length);
    }
    this.#wake();
  }

  /** The socket has sent what it held. */
  drained(): void {
    this.#blocked = false;
    this.#inSinkBytes = 0;
    this.#progressAt = this.#now();
    this.flush();
  }

  /** Resolves when no more than `bytes` are queued, or the outbox is closed. */
  whenBelow(bytes: number): Promise<void> {
    if (this.#closed || this.queuedBytes <= bytes) return Promise.resolve();
    return new Promise((resolve) => this.#waiters.push({ bytes, resolve }));
  }

  /** Drops what is queued and takes nothing more. */
  close(): void {
    this.#closed = true;
    this.#queue = [];
    this.#head = 0;
    this.#queuedBytes = 0;
    this.#wake();
  }

  #wake(): void {
    if (this.#waiters.length === 0) return;
    const isDue = ({ bytes }: { bytes: number }): boolean => this.#closed || this.queuedBytes <= bytes;
    const due = this.#waiters.filter(isDue);
    this.#waiters = this.#waiters.filter((waiter) => !isDue(waiter));
    for (const { resolve } of due) resolve();
  }

  #block(bytes: number): void {
    this.#blocked = true;
    this.#inSinkBytes = bytes;
    this.#progressAt = this.#now();
  }

  #takeSlice(): Uint8Array {
    const first = this.#queue[this.#head] as Uint8Array;
    if (this.#queue.length - this.#head === 1) return this.#takeAll([first]);
    let bytes = 0;
    let end = this.#head;
    while (end < this.#queue.length && (end === this.#head || bytes + this.#lengthAt(end) <= SLICE_BYTES)) {
      bytes += this.#lengthAt(end++);
    }
    if (end === this.#queue.length) return this.#takeAll(this.#queue.slice(this.#head));
    const taken = this.#queue.slice(this.#head, end);
    this.#head = end;
    this.#letGo();
    return taken.length === 1 ? first : Buffer.concat(taken, bytes);
  }

  // A queue that never runs empty must not hold on to what was written. Half of it at once: the cost a chunk is constant.
  #letGo(): void {
    if (this.#head < this.#queue.length - this.#head) return;
    this.#queue = this.#queue.slice(this.#head);
    this.#head = 0;
  }

  #takeAll(chunks: Uint8Array[]): Uint8Array {
    this.#queue = [];
    this.#head = 0;
    return chunks.length === 1 ? (chunks[0] as Uint8Array) : Buffer.concat(chunks);
  }

  #lengthAt(index: number): number {
    return (this.#queue[index] as Uint8Array).length;
  }
}

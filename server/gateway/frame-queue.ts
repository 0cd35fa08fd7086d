// Owns the order of one socket's frames: handled one after the other, the next when the last has been
// answered. Bounded by asking for no more: `onFull` stops the reading, `onRoom` starts it again.

export type FrameQueueOptions = {
  /** Frames, and characters of all of them, that wait before `onFull`. */
  readonly maxFrames: number;
  readonly maxLength: number;
  /** Handles one frame. Must not reject. */
  readonly handle: (text: string) => Promise<void>;
  readonly onFull: () => void;
  readonly onRoom: () => void;
};

export class FrameQueue {
  readonly #options: FrameQueueOptions;
  #waiting: string[] = [];
  #length = 0;
  #isFull = false;
  #isClosed = false;
  #running: Promise<void> | undefined = undefined;

  constructor(options: FrameQueueOptions) {
    this.#options = options;
  }

  push(text: string): void {
    if (this.#isClosed) return;
    this.#waiting.push(text);
    this.#length += text.length;
    this.#signal();
    this.#running ??= this.#run();
  }

  /** Drops what waits and takes nothing more; the frame in work is finished. */
  close(): void {
    this.#isClosed = true;
    this.#waiting = [];
    this.#length = 0;
  }

  /** Resolves when no frame is in work. */
  async idle(): Promise<void> {
    await this.#running;
  }

  async #run(): Promise<void> {
    for (let text = this.#waiting.shift(); text !== undefined; text = this.#waiting.shift()) {
      this.#length -= text.length;
      this.#signal();
      await this.#options.handle(text);
    }
    this.#running = undefined;
  }

  #signal(): void {
    const { maxFrames, maxLength, onFull, onRoom } = this.#options;
    const isFull = this.#waiting.length >= maxFrames || this.#length >= maxLength;
    if (isFull === this.#isFull) return;
    this.#isFull = isFull;
    if (isFull) onFull();
    else onRoom();
  }
}

// Owns the cutting of received chunks into backend messages
// (https://www.postgresql.org/docs/18/protocol-message-formats.html). A message that spans chunks is put
// together once, when all of it is there; every other is handed on in place, without a copy.

const HEADER_BYTES = 5;
/** The length counts itself, and Postgres builds no message above 1 GB (MaxAllocSize). */
const MIN_LENGTH = 4;
const MAX_LENGTH = 0x4000_0000;

export type OnMessage = (type: number, bytes: Buffer, start: number, end: number) => void;

export class BackendMessages {
  readonly #onMessage: OnMessage;
  #parts: Buffer[] = [];
  #havingBytes = 0;
  #neededBytes = 0;

  constructor(onMessage: OnMessage) {
    this.#onMessage = onMessage;
  }

  /** Takes a chunk and hands on every message that is now whole. Throws where the bytes cannot be messages. */
  push(chunk: Buffer): void {
    if (this.#parts.length === 0) return this.#cut(chunk);
    this.#parts.push(chunk);
    this.#havingBytes += chunk.length;
    if (this.#havingBytes < this.#neededBytes) return;
    const joined = Buffer.concat(this.#parts, this.#havingBytes);
    this.#parts = [];
    this.#cut(joined);
  }

  #cut(bytes: Buffer): void {
    let at = 0;
    while (bytes.length - at >= HEADER_BYTES) {
      const length = bytes.readUInt32BE(at + 1);
      if (length < MIN_LENGTH || length > MAX_LENGTH) throw new RangeError(`a backend message of ${length} bytes`);
      const end = at + 1 + length;
      if (end > bytes.length) return this.#keep(bytes.subarray(at), end - at);
      this.#onMessage(bytes[at] as number, bytes, at + HEADER_BYTES, end);
      at = end;
    }
    if (at < bytes.length) this.#keep(bytes.subarray(at), HEADER_BYTES);
  }

  #keep(rest: Buffer, neededBytes: number): void {
    this.#parts = [rest];
    this.#havingBytes = rest.length;
    this.#neededBytes = neededBytes;
  }
}

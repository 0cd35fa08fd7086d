// Owns the reading of a server's WebSocket frames with the least that can be done (RFC 6455, section 5.2):
// where each text frame lies, pings answered, nothing decoded. A receiver that costs little leaves the two
// cores to what is measured.

import type { Socket } from 'node:net';

const OPCODE = { text: 0x1, close: 0x8, ping: 0x9 } as const;

/** `end` may lie beyond `bytes` where only the beginning was asked for. */
export type OnText = (bytes: Buffer, start: number, end: number) => void;

export class FrameReader {
  readonly #socket: Socket;
  readonly #onText: OnText;
  /** How many bytes of a payload have to be there before it is handed on; the rest is skipped unseen. */
  readonly #neededBytes: () => number;
  #rest: Buffer | undefined;
  #skip = 0;

  constructor(socket: Socket, neededBytes: () => number, onText: OnText) {
    this.#socket = socket;
    this.#neededBytes = neededBytes;
    this.#onText = onText;
  }

  read(chunk: Buffer): void {
    const bytes = this.#rest === undefined ? chunk : Buffer.concat([this.#rest, chunk]);
    let at = this.#skip;
    for (;;) {
      const start = payloadStart(bytes, at);
      if (start === undefined) break;
      const end = start + payloadLength(bytes, at);
      if (Math.min(end, start + this.#neededBytes()) > bytes.length) break;
      this.#take((bytes[at] as number) & 0xf, bytes, start, end);
      at = end;
    }
    this.#rest = at < bytes.length ? bytes.subarray(at) : undefined;
    this.#skip = Math.max(0, at - bytes.length);
  }

  #take(opcode: number, bytes: Buffer, start: number, end: number): void {
    if (opcode === OPCODE.text) this.#onText(bytes, start, end);
    else if (opcode === OPCODE.ping) this.#socket.write(Uint8Array.of(0x8a, 0x80, 0, 0, 0, 0));
    else if (opcode === OPCODE.close) throw new Error(`the server closed: ${bytes.readUInt16BE(start)}`);
  }
}

/** A text frame of a client, masked with zeros. */
export function clientFrame(text: string): Buffer {
  const payload = Buffer.from(text);
  if (payload.length >= 65_536) throw new RangeError('too long for a bench');
  const header =
    payload.length < 126 ? [0x81, 0x80 | payload.length] : [0x81, 0xfe, payload.length >> 8, payload.length & 0xff];
  return Buffer.concat([Uint8Array.from([...header, 0, 0, 0, 0]), payload]);
}

function payloadStart(bytes: Buffer, at: number): number | undefined {
  if (bytes.length - at < 2) return undefined;
  const short = bytes[at + 1] as number;
  const start = at + (short === 127 ? 10 : short === 126 ? 4 : 2);
  return start <= bytes.length ? start : undefined;
}

function payloadLength(bytes: Buffer, at: number): number {
  const short = bytes[at + 1] as number;
  if (short === 126) return bytes.readUInt16BE(at + 2);
  return short === 127 ? Number(bytes.readBigUInt64BE(at + 2)) : short;
}

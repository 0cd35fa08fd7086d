// Owns the framing of text that a server sends: one unmasked, unfragmented text frame
// (RFC 6455, section 5.2), built once and shared by all sockets. Pure, and runs in a browser.

const FIN_TEXT = 0x81;

/** Bytes of the header in front of a payload of `length` bytes. */
export function frameHeaderLength(length: number): number {
  if (length < 126) return 2;
  return length < 65_536 ? 4 : 10;
}

/** Writes the header for a payload of `length` bytes into `target` at `offset`; returns the offset behind it. */
export function writeFrameHeader(target: Uint8Array, offset: number, length: number): number {
  target[offset] = FIN_TEXT;
  if (length < 126) {
    target[offset + 1] = length;
    return offset + 2;
  }
  if (length < 65_536) {
    target[offset + 1] = 126;
    target[offset + 2] = length >>> 8;
    target[offset + 3] = length & 0xff;
    return offset + 4;
  }
  target[offset + 1] = 127;
  target.fill(0, offset + 2, offset + 6);
  target[offset + 6] = length >>> 24;
  target[offset + 7] = (length >>> 16) & 0xff;
  target[offset + 8] = (length >>> 8) & 0xff;
  target[offset + 9] = length & 0xff;
  return offset + 10;
}

const encoder = new TextEncoder();

/** One whole frame with `text` as its payload. */
export function textFrame(text: string): Uint8Array {
  const payload = encoder.encode(text);
  const headerLength = frameHeaderLength(payload.length);
  const frame = new Uint8Array(headerLength + payload.length);
  writeFrameHeader(frame, 0, payload.length);
  frame.set(payload, headerLength);
  return frame;
}

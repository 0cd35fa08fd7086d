// @ts-check
// Owns one socket from opening to end: frames out, replies matched by `ref`, everything else handed on, and
// whether the server is still there. It ends once, whatever ends it, and says how.

import { RowcastError } from './rowcast-error.js';

/**
 * @typedef {import('../rowcast.d.ts').WebSocketLike} WebSocketLike
 * @typedef {Record<string, any> & { type: string }} Frame
 * @typedef {{ code: number, reason: string }} LinkEnd
 * @typedef {{
 *   url: string,
 *   webSocket: new (url: string) => WebSocketLike,
 *   idleMs: number,
 *   pongTimeoutMs: number,
 *   onFrame: (frame: Frame) => void,
 * }} LinkOptions
 * @typedef {{
 *   resolve: (frame: Frame) => void,
 *   reject: (error: RowcastError) => void,
 *   onReply: ((frame: Frame) => void) | undefined,
 * }} Pending
 */

const LOST = 1006;

export class Link {
  #options;
  #socket;
  /** @type {Map<number, Pending>} */
  #pending = new Map();
  #lastRef = 0;
  #isEnded = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #idleTimer = undefined;
  /** @type {(end: LinkEnd) => void} */
  #resolveEnded = () => {};

  /** @param {LinkOptions} options */
  constructor(options) {
    this.#options = options;
    /** @type {Promise<LinkEnd>} */
    this.ended = new Promise((resolve) => {
      this.#resolveEnded = resolve;
    });
    const socket = /** @type {any} */ (new options.webSocket(options.url));
    /** @type {WebSocketLike} */
    this.#socket = socket;
    /** Resolves when frames can be sent; never if the link ends before. */
    this.opened = new Promise((resolve) => {
      socket.onopen = () => resolve(undefined);
    });
    socket.onmessage = (/** @type {{ data: unknown }} */ event) => this.#receive(event.data);
    // A close follows, and has the code.
    socket.onerror = () => {};
    /** Resolves when the socket itself is closed, which may be after the end. */
    this.closed = new Promise((resolve) => {
      socket.onclose = (/** @type {{ code?: number, reason?: string }} */ event) => {
        this.#end({ code: event.code ?? LOST, reason: event.reason ?? '' });
        resolve(undefined);
      };
    });
    this.#expectSign();
  }

  get isEnded() {
    return this.#isEnded;
  }

  /**
   * Sends a frame and resolves with its reply. Rejects with an error reply, or when the link ends.
   * `onReply` is called before the next frame is looked at; a promise's reaction may come after it.
   * @param {Frame} frame
   * @param {(reply: Frame) => void} [onReply]
   * @returns {Promise<Frame>}
   */
  request(frame, onReply) {
    if (this.#isEnded) return Promise.reject(disconnected());
    const ref = ++this.#lastRef;
    return new Promise((resolve, reject) => {
      // First: what cannot be written as JSON waits for no reply.
      const text = JSON.stringify({ ...frame, ref });
      this.#pending.set(ref, { resolve, reject, onReply });
      this.#socket.send(text);
    });
  }

  /** Ends the link: asks for the close, and does not wait for it. A peer that is gone would never answer. */
  close() {
    this.#socket.close(1000);
    this.#end({ code: LOST, reason: 'closed by the client' });
  }

  /** @param {unknown} data */
  #receive(data) {
    if (this.#isEnded) return;
    this.#expectSign();
    const frame = parseFrame(data);
    if (frame === undefined) return;
    const pending = this.#pending.get(frame.ref);
    if (pending === undefined) return this.#options.onFrame(frame);
    this.#pending.delete(frame.ref);
    if (frame.type === 'error') return pending.reject(errorOf(frame));
    pending.onReply?.(frame);
    pending.resolve(frame);
  }

  // Browsers hide the pings of the protocol, so silence is broken by a `ping` frame of our own.
  #expectSign() {
    const { idleMs, pongTimeoutMs } = this.#options;
    clearTimeout(this.#idleTimer);
    this.#idleTimer = setTimeout(() => {
      this.#idleTimer = setTimeout(() => this.close(), pongTimeoutMs);
      this.#askForSign();
    }, idleMs);
  }

  #askForSign() {
    try {
      this.request({ type: 'ping' }).catch(() => {});
    } catch {
      // A socket that is still connecting cannot send; its time runs out all the same.
    }
  }

  /** @param {LinkEnd} end */
  #end(end) {
    if (this.#isEnded) return;
    this.#isEnded = true;
    clearTimeout(this.#idleTimer);
    this.#socket.onopen = this.#socket.onmessage = null;
    this.#resolveEnded(end);
    for (const { reject } of this.#pending.values()) reject(disconnected());
    this.#pending.clear();
  }
}

/**
 * @param {unknown} data
 * @returns {Frame | undefined}
 */
function parseFrame(data) {
  if (typeof data !== 'string') return undefined;
  try {
    const frame = JSON.parse(data);
    return typeof frame?.type === 'string' ? frame : undefined;
  } catch {
    return undefined;
  }
}

/** @param {Frame} frame */
export function errorOf(frame) {
  return new RowcastError(frame.code ?? 'internal', frame.message ?? 'refused', {
    retryable: frame.retryable === true,
  });
}

export function disconnected() {
  return new RowcastError('disconnected', 'The connection ended', { retryable: true });
}

export function closed() {
  return new RowcastError('closed', 'The client was closed');
}

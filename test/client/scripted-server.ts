// Owns a WebSocket server that does what a test says: for closes and silences that a healthy gateway does not
// produce on demand. Real sockets; only the script is the test's.

import type { AddressInfo } from 'node:net';
import { type WebSocket, WebSocketServer } from 'ws';

export type Script = (socket: WebSocket, attempt: number) => void;

/** Runs `script` for every connection, counted from 1. */
export async function scriptedServer(script: Script) {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  let attempts = 0;
  server.on('connection', (socket) => {
    attempts += 1;
    socket.on('error', () => {});
    script(socket, attempts);
  });
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `ws://127.0.0.1:${port}/realtime`,
    get attempts() {
      return attempts;
    },
    async [Symbol.asyncDispose](): Promise<void> {
      for (const socket of server.clients) socket.terminate();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** Answers auth, subscribe, publish and ping as the server would; `onFrame` sees every frame first. */
export function answering(socket: WebSocket, onFrame: (frame: Record<string, unknown>) => void = () => {}): void {
  socket.on('message', (data) => {
    const frame = JSON.parse(data.toString()) as Record<string, unknown>;
    onFrame(frame);
    const reply = replyTo(frame);
    if (reply !== undefined) socket.send(JSON.stringify({ ...reply, ref: frame.ref }));
  });
}

function replyTo({ type, channel, event }: Record<string, unknown>): object | undefined {
  const position = '00000001-0000000000000001-00000000';
  if (type === 'auth') return { type: 'auth_success', userId: 'u', role: 'authenticated', expiresAt: null };
  if (type === 'subscribe') return { type: 'subscribed', channel, subscriptionId: `s-${channel}`, position };
  if (type === 'unsubscribe') return { type: 'unsubscribed', channel };
  if (type === 'publish') return { type: 'published', messageId: 'm', channel, event };
  return type === 'ping' ? { type: 'pong' } : undefined;
}

export type Asked = Readonly<Record<string, unknown>>;
/** Sends a frame about the subscription; `ref` makes it the reply. */
export type Tell = (frame: Readonly<Record<string, unknown>>) => void;

/** Answers auth and pings, and hands on each `subscribe` and `unsubscribe` with the means to answer. */
export function subscribable(socket: WebSocket, onSubscribe: (frame: Asked, tell: Tell) => void): void {
  socket.on('message', (data) => {
    const frame = JSON.parse(data.toString()) as Asked;
    const tell: Tell = (more) => socket.send(JSON.stringify({ channel: frame.channel, subscriptionId: 's', ...more }));
    if (frame.type === 'auth') return tell({ type: 'auth_success', userId: 'u', role: 'r', ref: frame.ref });
    if (frame.type === 'ping') return tell({ type: 'pong', ref: frame.ref });
    if (frame.type === 'unsubscribe') tell({ type: 'unsubscribed', ref: frame.ref });
    onSubscribe(frame, tell);
  });
}

/** The position of the first entry of the transaction at `lsn`. */
export function positionAt(lsn: number, epoch = 1): string {
  return `${hex(epoch, 8)}-${hex(lsn, 16)}-00000000`;
}

function hex(value: number, digits: number): string {
  return value.toString(16).padStart(digits, '0');
}

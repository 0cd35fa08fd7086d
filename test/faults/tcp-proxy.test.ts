// The proxy that breaks links for other tests does what it says.

import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { until } from '../rig/until.ts';
import { startTcpProxy, type TcpProxy } from './tcp-proxy.ts';

let server: Server;
let accepted: Socket[];
let proxy: TcpProxy;
let clients: Socket[];

beforeEach(async () => {
  accepted = [];
  clients = [];
  server = createServer({ allowHalfOpen: true }, (socket) => {
    accepted.push(socket);
    socket.on('error', () => undefined);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  proxy = await startTcpProxy({ host: '127.0.0.1', port: (server.address() as AddressInfo).port });
});

afterEach(async () => {
  await proxy[Symbol.asyncDispose]();
  for (const socket of [...clients, ...accepted]) socket.destroy();
  server.close();
});

it('passes bytes and ends in both directions', async () => {
  const [client, upstream] = await linked();
  client.end('hello');
  await until(() => upstream.text === 'hello' && upstream.isEnded);
  upstream.socket.end('bye');
  await until(() => client.text === 'bye' && client.isEnded);
  await until(() => proxy.connections === 0, { what: 'the link to be forgotten' });
});

it('resets both ends', async () => {
  const [client, upstream] = await linked();
  proxy.reset();
  await until(() => client.failure === 'ECONNRESET' && upstream.failure === 'ECONNRESET');
  expect(proxy.connections).toBe(0);
});

it('is silent in one direction, and lets what was held up arrive once it heals', async () => {
  const [client, upstream] = await linked();
  proxy.blackhole('toClient');
  upstream.socket.write('late');
  client.socket.write('in time');
  await until(() => upstream.text === 'in time');
  expect(client.text).toBe('');
  proxy.heal();
  await until(() => client.text === 'late');
});

it('hides the end of one side from the other while it is silent', async () => {
  const [client, upstream] = await linked();
  proxy.blackhole('both');
  client.socket.resetAndDestroy();
  const second = await dial();
  second.socket.write('hangs');
  await until(() => proxy.connections === 2);
  expect([upstream.failure, upstream.isEnded, accepted.length]).toEqual([undefined, false, 1]);
  proxy.heal();
  await until(() => upstream.failure === 'ECONNRESET');
  await until(() => accepted.length === 2);
});

it('forgets who was reset while it hung', async () => {
  proxy.blackhole('both');
  const hung = await dial();
  await until(() => proxy.connections === 1);
  proxy.reset();
  proxy.heal();
  await until(() => hung.failure === 'ECONNRESET' && proxy.connections === 0);
  await linked();
  expect(accepted.length).toBe(1);
});

it('makes the line slow', async () => {
  const [client, upstream] = await linked();
  proxy.throttle(100_000);
  const startedAt = performance.now();
  upstream.socket.write('x'.repeat(20_000));
  await until(() => client.text.length === 20_000);
  expect(performance.now() - startedAt).toBeGreaterThan(180);
});

it('sends new connections to another target', async () => {
  const other = createServer((socket) => socket.end('other'));
  other.listen(0, '127.0.0.1');
  await once(other, 'listening');
  proxy.retarget({ host: '127.0.0.1', port: (other.address() as AddressInfo).port });
  const client = await dial();
  await until(() => client.text === 'other');
  client.socket.end();
  await until(() => proxy.connections === 0);
  other.close();
});

type Side = {
  readonly socket: Socket;
  text: string;
  isEnded: boolean;
  failure: string | undefined;
  end(text: string): void;
};

async function linked(): Promise<[Side, Side]> {
  const client = await dial();
  const upstream = sideOf(await until(() => accepted[0]));
  return [client, upstream];
}

async function dial(): Promise<Side> {
  const socket = connect({ host: '127.0.0.1', port: proxy.port, allowHalfOpen: true });
  clients.push(socket);
  await once(socket, 'connect');
  return sideOf(socket);
}

function sideOf(socket: Socket): Side {
  const side: Side = { socket, text: '', isEnded: false, failure: undefined, end: (text) => void socket.end(text) };
  socket.setEncoding('utf8').on('data', (text: string) => (side.text += text));
  socket.on('end', () => (side.isEnded = true));
  socket.on('error', (error: NodeJS.ErrnoException) => (side.failure = error.code));
  return side;
}

// Owns a stand-in for a connection pooler: it passes everything on, but hands out keys for cancelling of its
// own, as PgBouncer does, and refuses replication connections.

import { once } from 'node:events';
import { createServer, connect as openSocket, type Socket } from 'node:net';

export interface Pooler extends AsyncDisposable {
  /** The database's URL by way of the pooler. */
  readonly url: string;
}

const BACKEND_KEY_DATA = 'K'.charCodeAt(0);
const BACKEND_KEY_BYTES = 13;

/** Listens in front of the database of `url`. */
export async function openPooler(url: string): Promise<Pooler> {
  const target = new URL(url);
  const { port, hostname: host } = new URL(url);
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const upstream = openSocket({ port: Number(port), host });
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('error', () => socket.destroy());
      socket.on('close', () => {
        client.destroy();
        upstream.destroy();
      });
    }
    client.on('data', (bytes: Buffer) =>
      bytes.includes('\0replication\0') ? client.destroy() : upstream.write(bytes),
    );
    upstream.on('data', (bytes: Buffer) => client.write(withOwnKey(bytes)));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  target.port = String((server.address() as { port: number }).port);
  target.hostname = '127.0.0.1';
  const close = async (): Promise<void> => {
    for (const socket of sockets) socket.destroy();
    server.close();
    await once(server, 'close');
  };
  return { url: target.href, [Symbol.asyncDispose]: close };
}

/** Changes the process id in BackendKeyData, which comes right before the first ReadyForQuery. */
function withOwnKey(bytes: Buffer): Buffer {
  const at = bytes.length - BACKEND_KEY_BYTES - 6;
  const isKey = at >= 0 && bytes[at] === BACKEND_KEY_DATA && bytes.readInt32BE(at + 1) === BACKEND_KEY_BYTES - 1;
  if (isKey) bytes.writeInt32BE(1, at + 5);
  return bytes;
}

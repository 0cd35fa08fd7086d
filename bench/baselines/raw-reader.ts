// A baseline, written before what it judges: reads a slot and does nothing with it. It cuts messages by their
// length, looks at two bytes of each to count rows, and answers keepalives without ever confirming, so that
// the same WAL can be read again. Nothing that reads the stream message by message can do less.

import type { Socket } from 'node:net';
import { Client } from 'pg';
import { answerCalls } from '../processes/answer-calls.ts';
import type { ReadOrder, ReadResult } from '../processes/read-result.ts';

const COPY_DATA = 0x64;
const WAL_DATA = 0x77;
const KEEPALIVE = 0x6b;
const INSERT = 0x49;
const HEADER_BYTES = 5;
const WAL_HEADER_BYTES = 25;

class RawReader {
  readonly #socket: Socket;
  readonly #onRow: () => void;
  #rest: Buffer | undefined;

  constructor(socket: Socket, onRow: () => void) {
    this.#socket = socket;
    this.#onRow = onRow;
    socket.removeAllListeners('data');
    socket.on('data', (chunk: Buffer) => this.#read(chunk));
  }

  #read(chunk: Buffer): void {
    const bytes = this.#rest === undefined ? chunk : Buffer.concat([this.#rest, chunk]);
    let at = 0;
    while (bytes.length - at >= HEADER_BYTES) {
      const end = at + 1 + bytes.readUInt32BE(at + 1);
      if (end > bytes.length) break;
      if (bytes[at] === COPY_DATA) this.#take(bytes, at + HEADER_BYTES);
      at = end;
    }
    this.#rest = at < bytes.length ? bytes.subarray(at) : undefined;
  }

  #take(bytes: Buffer, start: number): void {
    if (bytes[start] === WAL_DATA && bytes[start + WAL_HEADER_BYTES] === INSERT) this.#onRow();
    if (bytes[start] === KEEPALIVE && bytes[start + 17] === 1) this.#socket.write(nothingConfirmed());
  }
}

/** A standby status update that confirms nothing. */
function nothingConfirmed(): Buffer {
  const message = Buffer.alloc(39);
  message[0] = COPY_DATA;
  message.writeUInt32BE(38, 1);
  message[5] = 0x72;
  return message;
}

async function read({ databaseUrl, slot, publications, rows }: ReadOrder): Promise<ReadResult> {
  const client = new Client({ connectionString: databaseUrl, replication: 'database' } as object);
  client.on('error', () => undefined);
  await client.connect();
  const { connection } = client as unknown as { connection: { stream: Socket; query(sql: string): void } };
  const cpu = process.cpuUsage();
  const startedAt = performance.now();
  let firstRowAt = 0;
  await new Promise<void>((resolve) => {
    let seen = 0;
    new RawReader(connection.stream, () => {
      if (seen++ === 0) firstRowAt = performance.now();
      if (seen === rows) resolve();
    });
    const names = publications.map((name) => `"${name}"`).join(',');
    connection.query(
      `START_REPLICATION SLOT "${slot}" LOGICAL 0/0 (proto_version '1', publication_names '${names}', messages 'true')`,
    );
  });
  const tookMs = performance.now() - startedAt;
  const { user, system } = process.cpuUsage(cpu);
  connection.stream.destroy();
  return { tookMs, firstRowMs: firstRowAt - startedAt, cpuMicros: user + system };
}

answerCalls({ read });

// The stream under a reader that is slower than it: it is paused and read on thousands of times, and neither
// stalls nor loses or repeats anything.

import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { clientConfig } from '../../server/db/pools.ts';
import { must } from '../../server/lib/assert.ts';
import { parseLsn, toEpoch, ZERO_LSN } from '../../server/lib/position.ts';
import { WalStream } from '../../server/replication/wal-stream.ts';
import { collectingLog } from '../db/migrated.ts';
import { newestPostgres, type TestDatabase } from '../rig/postgres.ts';
import { figure, randomFrom, scaled, seed } from '../rig/scale.ts';

const ROUNDS = scaled(1, 20);
const TRANSACTIONS = scaled(300, 2_000);
const SILENCE_MS = 10_000;

type Read = { readonly seen: number[]; readonly batches: number };

it('is paused and read on after every chunk, and gives every row once and in order', async () => {
  await using database = await newestPostgres().createDatabase();
  await database.query('create table rows (id serial, body text); create publication stress for table rows');
  await database.query(`select pg_create_logical_replication_slot($1, 'pgoutput')`, [database.slot]);
  const random = randomFrom(seed);
  // What waits in the WAL comes in large chunks, what is written meanwhile in small ones.
  let rows = await write(database, random);
  const stream = await openStream(database);
  try {
    for (let round = 0; round < ROUNDS; round++) {
      const writing = write(database, random).then((written) => {
        rows += written;
      });
      const { seen, batches } = await read(stream, random, async () => {
        await writing;
        return rows;
      });
      expect(seen).toEqual(Array.from({ length: seen.length }, (_, index) => rows - seen.length + index + 1));
      figure(`stream: ${seen.length} rows in ${batches} batches, paused after each (seed ${seed})`);
    }
  } finally {
    await stream.close();
  }
}, 600_000);

/** Returns how many rows it wrote. */
async function write(database: TestDatabase, random: () => number): Promise<number> {
  let rows = 0;
  for (let transaction = 0; transaction < TRANSACTIONS; transaction++) {
    const count = random() < 0.02 ? 1_000 : 1 + Math.floor(random() * 20);
    const bytes = random() < 0.05 ? 20_000 : 50;
    await database.query(`insert into rows (body) select repeat('x', $2) from generate_series(1, $1::int)`, [
      count,
      bytes,
    ]);
    rows += count;
  }
  return rows;
}

async function openStream(database: TestDatabase): Promise<WalStream> {
  const [slot] = await database.query<{ lsn: string }>(
    'select confirmed_flush_lsn::text as lsn from pg_replication_slots where slot_name = $1',
    [database.slot],
  );
  return WalStream.open({
    connection: clientConfig({ connectionString: database.url, applicationName: 'stress', statementTimeoutMs: 0 }),
    slot: database.slot,
    publications: ['stress'],
    epoch: toEpoch(1),
    handled: ZERO_LSN,
    confirmed: must(parseLsn(must(slot, 'the slot').lsn), 'an LSN'),
    maxQueuedBytes: 1,
    statusIntervalMs: 20,
    silenceLimitMs: SILENCE_MS,
    keepaliveRunLimit: 1_000,
    onIdle: () => undefined,
    log: collectingLog(),
  });
}

/** Reads until the row `last` has come, which is known once all are written. */
async function read(stream: WalStream, random: () => number, last: () => Promise<number>): Promise<Read> {
  const seen: number[] = [];
  let batches = 0;
  let wanted = Number.POSITIVE_INFINITY;
  const known = new AbortController();
  void last().then((id) => {
    wanted = id;
    known.abort();
  });
  while ((seen.at(-1) ?? 0) < wanted) {
    const late = AbortSignal.timeout(SILENCE_MS);
    const batch = await stream.next(known.signal.aborted ? late : AbortSignal.any([late, known.signal]));
    if (batch === undefined && !late.aborted) continue;
    if (batch === undefined) throw new Error(`the stream stalled after row ${seen.at(-1)} of ${wanted}`);
    batches += 1;
    for (const entry of batch.entries) {
      if (entry.kind === 'row' && entry.newTuple !== null) seen.push(idOf(entry.newTuple));
      if (entry.kind === 'commit') stream.confirm(entry.endLsn);
    }
    for (let turns = Math.floor(random() * 3); turns > 0; turns--) await nextTurn();
  }
  return { seen, batches };
}

/** The first column: count of columns (2 bytes), kind (1), length (4), text. */
function idOf({ bytes, offset }: { readonly bytes: Uint8Array; readonly offset: number }): number {
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const length = view.readUInt32BE(offset + 3);
  return Number(view.toString('latin1', offset + 7, offset + 7 + length));
}

// Owns the opening of the stream as one act: lead, prepare the slot, start reading. Whoever runs it closes
// what it returns; a failure at any step releases the steps before.

import type { Client } from 'pg';
import { must } from '../lib/assert.ts';
import { pause } from '../lib/backoff.ts';
import type { Logger } from '../lib/logger.ts';
import type { Lsn } from '../lib/position.ts';
import { UnrecoverableError } from '../lib/service.ts';
import { type Leadership, tryToLead } from './leadership.ts';
import { prepareSlot, type StartPoint } from './slot.ts';
import { startRefusal } from './start-refusal.ts';
import { WalStream, type WalStreamOptions } from './wal-stream.ts';

export type ChangeSourceOptions = Pick<
  WalStreamOptions,
  'connection' | 'slot' | 'maxQueuedBytes' | 'statusIntervalMs' | 'silenceLimitMs' | 'keepaliveRunLimit'
> & {
  readonly publicationPrefix: string;
  /** Opens a session with the pinned settings; it is ended by `close`. */
  readonly openSession: () => Promise<Client>;
  /** Ends what the session of this backend is doing: making a slot may take as long as somebody's transaction. */
  readonly cancelSession: (backendPid: number) => Promise<void>;
  /** Name of this server, for whoever looks at the checkpoint. */
  readonly holder: string;
  /** How long a predecessor's walsender may hold the slot. */
  readonly slotReleaseMs: number;
  readonly isObjectInUse: (error: unknown) => boolean;
  readonly log: Logger;
};

export type OpenSource = {
  readonly leadership: Leadership;
  readonly start: StartPoint;
  readonly stream: WalStream;
  close(): Promise<void>;
};

/** Opens the stream; undefined while another server leads, or once `signal` is aborted. `onIdle`: see WalStreamOptions. */
export async function openChangeSource(
  options: ChangeSourceOptions,
  onIdle: (walEnd: Lsn) => void,
  signal: AbortSignal,
): Promise<OpenSource | undefined> {
  const client = await options.openSession();
  const watch = await cancelOnAbort(client, options, signal);
  try {
    const source = signal.aborted ? undefined : await lead(client, options, onIdle, signal);
    if (source === undefined) await client.end();
    return source;
  } catch (error) {
    await client.end().catch(() => undefined);
    if (signal.aborted) return undefined;
    throw error;
  } finally {
    watch.stop();
  }
}

async function cancelOnAbort(
  client: Client,
  { cancelSession, log }: ChangeSourceOptions,
  signal: AbortSignal,
): Promise<{ stop(): void }> {
  const { rows } = await client.query<{ pid: number }>('select pg_catalog.pg_backend_pid() as pid');
  const { pid } = must(rows[0], 'the backend');
  const cancel = (): void => {
    cancelSession(pid).catch((error: Error) => log.warn({ reason: error.message }, 'a session could not be cancelled'));
  };
  signal.addEventListener('abort', cancel, { once: true });
  return { stop: () => signal.removeEventListener('abort', cancel) };
}

async function lead(
  client: Client,
  options: ChangeSourceOptions,
  onIdle: (walEnd: Lsn) => void,
  signal: AbortSignal,
): Promise<OpenSource | undefined> {
  const refusal = await startRefusal(client, options.slot);
  if (refusal !== undefined) throw new UnrecoverableError(refusal);
  const leadership = await tryToLead(client, options.slot, options.holder);
  if (leadership === undefined) return undefined;
  const start = await prepareSlot(client, options);
  const stream = await openWhenReleased({ ...options, ...start, onIdle }, options, signal);
  return { leadership, start, stream, close: () => close(stream, client) };
}

// A predecessor that died leaves its walsender for a moment: the slot is taken until the server notices.
async function openWhenReleased(
  stream: WalStreamOptions,
  options: ChangeSourceOptions,
  signal: AbortSignal,
): Promise<WalStream> {
  const deadline = performance.now() + options.slotReleaseMs;
  for (;;) {
    try {
      return await WalStream.open(stream);
    } catch (error) {
      if (!options.isObjectInUse(error) || performance.now() > deadline || signal.aborted) throw error;
      options.log.info({ slot: options.slot }, 'the slot is still held, waiting');
      await pause(100, signal);
    }
  }
}

// The stream first: a database that is shutting down waits for it (traps of Postgres, rule 1).
async function close(stream: WalStream, client: Client): Promise<void> {
  await stream.close();
  await client.end().catch(() => undefined);
}

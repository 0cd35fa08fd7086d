// Owns the opening of the stream as one act: wait to lead, take the lease, prepare the slot, start reading.
// Whoever runs it closes what it returns; a failure at any step releases the steps before, and no step hangs on
// a dead link.

import type { Client } from 'pg';
import { answerWithin, cut, endWithin } from '../db/dead-link.ts';
import { must } from '../lib/assert.ts';
import { pause } from '../lib/backoff.ts';
import type { Logger } from '../lib/logger.ts';
import type { Lsn } from '../lib/position.ts';
import { UnrecoverableError } from '../lib/service.ts';
import { enableFailover, recordStream } from './failover.ts';
import { endExpiredLeader, endReader, type Leadership, tryToLead } from './leadership.ts';
import { Lease } from './lease.ts';
import { prepareSlot, type SlotOptions, type StartPoint } from './slot.ts';
import { startRefusal } from './start-refusal.ts';
import { WalStream, type WalStreamOptions } from './wal-stream.ts';

export type ChangeSourceOptions = Pick<
  WalStreamOptions,
  'connection' | 'slot' | 'maxQueuedBytes' | 'statusIntervalMs' | 'silenceLimitMs' | 'keepaliveRunLimit'
> & {
  readonly publicationPrefix: string;
  /** Opens a session with the pinned settings; it is ended by `close`. */
  readonly openSession: (what: 'journal' | 'lease') => Promise<Client>;
  /** Ends what the session of this backend is doing: making a slot may take as long as somebody's transaction. */
  readonly cancelSession: (backendPid: number) => Promise<void>;
  /** Name of this server, for whoever looks at the checkpoint. */
  readonly holder: string;
  /** A leader that is silent for so long is replaced. */
  readonly leaseMs: number;
  /** How often a standby looks whether it may lead. */
  readonly standbyPollMs: number;
  /** How long a predecessor's walsender may hold the slot. */
  readonly slotReleaseMs: number;
  readonly isObjectInUse: (error: unknown) => boolean;
  readonly log: Logger;
};

/** What one opening is asked for, and whom it tells. */
export type SourceRequest = Pick<SlotOptions, 'isFuseBlown' | 'onSlotLost'> & {
  /** See WalStreamOptions. */
  readonly onIdle: (walEnd: Lsn) => void;
  /** Called whenever another server is found to lead. */
  readonly onStandby: () => void;
};

export type OpenSource = {
  readonly leadership: Leadership;
  readonly lease: Pick<Lease, 'watchJournal'>;
  readonly start: StartPoint;
  readonly stream: WalStream;
  close(): Promise<void>;
};

type Opening = ChangeSourceOptions & SourceRequest & { readonly signal: AbortSignal };

const END_WITHIN_MS = 1_000;

/** Waits until this server leads, and opens the stream; undefined once `signal` is aborted. */
export async function openChangeSource(
  options: ChangeSourceOptions,
  request: SourceRequest,
  signal: AbortSignal,
): Promise<OpenSource | undefined> {
  const opening = { ...options, ...request, signal };
  const client = await options.openSession('journal');
  const watch = await cancelOnAbort(client, opening);
  try {
    const leadership = await waitToLead(client, opening);
    if (leadership === undefined) await endWithin(client, END_WITHIN_MS);
    return leadership && (await openAsLeader(leadership, opening));
  } catch (error) {
    await endWithin(client, END_WITHIN_MS);
    if (signal.aborted) return undefined;
    throw error;
  } finally {
    watch.stop();
  }
}

async function cancelOnAbort(client: Client, options: Opening): Promise<{ stop(): void }> {
  const { cancelSession, leaseMs, signal, log } = options;
  const asked = client.query<{ pid: number }>('select pg_catalog.pg_backend_pid() as pid');
  const { rows } = await answerWithin(client, leaseMs, asked);
  const { pid } = must(rows[0], 'the backend');
  const cancel = (): void => {
    cancelSession(pid).catch((error: Error) => log.warn({ reason: error.message }, 'a session could not be cancelled'));
  };
  signal.addEventListener('abort', cancel, { once: true });
  return { stop: () => signal.removeEventListener('abort', cancel) };
}

// On one session, however long it takes: a standby asks four times a second.
async function waitToLead(client: Client, options: Opening): Promise<Leadership | undefined> {
  const { slot, holder, leaseMs, standbyPollMs, onStandby, signal, log } = options;
  const refusal = await answerWithin(client, leaseMs, startRefusal(client, slot));
  if (refusal !== undefined) throw new UnrecoverableError(refusal);
  while (!signal.aborted) {
    const leadership = await answerWithin(client, leaseMs, tryToLead(client, slot, holder));
    if (leadership !== undefined) return leadership;
    onStandby();
    const ended = await answerWithin(client, leaseMs, endExpiredLeader(client, slot, leaseMs));
    if (ended) log.warn({ slot, leaseMs }, 'the leading server does not renew its lease: its sessions were ended');
    await pause(ended ? SESSION_END_MS : standbyPollMs, signal);
  }
  return undefined;
}

/** About what a backend takes to end. */
const SESSION_END_MS = 20;

async function openAsLeader(leadership: Leadership, options: Opening): Promise<OpenSource> {
  const { client, term } = leadership;
  const { openSession, leaseMs, holder, log } = options;
  const onLost = (why: Error): void => {
    log.warn({ term, reason: why.message }, 'the lead is given up');
    // Whatever waits for the journal's session hears of it.
    cut(client, why);
  };
  const lease = await Lease.take(leadership, { openSession: () => openSession('lease'), leaseMs, holder, onLost });
  try {
    const { start, stream } = await openStream(leadership, lease, options);
    return { leadership, lease, start, stream, close: () => close(stream, client, lease) };
  } catch (error) {
    await lease.close();
    throw error;
  }
}

async function openStream(
  { client, term }: Leadership,
  lease: Lease,
  options: Opening,
): Promise<{ readonly start: StartPoint; readonly stream: WalStream }> {
  const since = performance.now();
  lease.watchJournal(() => since);
  const start = await prepareSlot(client, {
    ...options,
    enableFailover: (slot) => enableFailover(options.connection, slot),
  });
  lease.watchJournal(() => undefined);
  const stream = await openWhenReleased({ ...options, ...start }, client, options);
  try {
    await answerWithin(client, options.leaseMs, recordStream(client, options.slot, term));
    return { start, stream };
  } catch (error) {
    await stream.close();
    throw error;
  }
}

// A predecessor that died leaves its walsender for a moment; one that is frozen or out of reach leaves it until
// wal_sender_timeout: whoever leads may end it.
async function openWhenReleased(stream: WalStreamOptions, leader: Client, options: Opening): Promise<WalStream> {
  const deadline = performance.now() + options.slotReleaseMs;
  for (;;) {
    try {
      return await WalStream.open(stream);
    } catch (error) {
      if (!options.isObjectInUse(error) || performance.now() > deadline || options.signal.aborted) throw error;
      options.log.info({ slot: options.slot }, 'the slot is still held, waiting');
      await pause(100, options.signal);
      await answerWithin(leader, options.leaseMs, endReader(leader, options.slot));
    }
  }
}

// The stream first: a database that is shutting down waits for it (traps of Postgres, rule 1).
async function close(stream: WalStream, client: Client, lease: Lease): Promise<void> {
  await stream.close();
  await Promise.all([endWithin(client, END_WITHIN_MS), lease.close()]);
}

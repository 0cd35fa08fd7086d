// Owns the judging of row changes for webhooks with a role: deliveries that wait for it are read in their order, their changes
// restored from history as replays do it, judged by the rules of now, and made pending or hidden. The leader's loop; the
// stream never waits for it, and where two leaders work at once, each delivery is settled by one of them.

import type { Pool } from 'pg';
import type { Claims, Identity } from '../auth/identity.ts';
import type { Group } from '../hub/subscription.ts';
import { must } from '../lib/assert.ts';
import type { Logger } from '../lib/logger.ts';
import type { Service } from '../lib/service.ts';
import { justBelow } from '../messages/position-span.ts';
import type { CanonicalChannel } from '../protocol/channel-name.ts';
import { Wake } from '../webhooks/wake.ts';
import { type ReplayFramesDeps, type ToldMessage, toldMessages } from './replay-frames.ts';
import { ReplaySource, type ReplaySourceOptions } from './replay-source.ts';
import { SETTLE, UNJUDGED, type UnjudgedRow } from './unjudged-sql.ts';

export type WebhookJudgeOptions = {
  /** Of the server's own login. */
  readonly pool: Pool;
  readonly source: ReplaySourceOptions;
  readonly frames: ReplayFramesDeps;
  /** Undefined for roles that nobody may have. */
  readonly identityOf: (role: string | null, claims: Claims) => Identity | undefined;
  readonly isLeading: () => boolean;
  /** Deliveries wait to be sent. */
  readonly onPending: () => void;
  readonly log: Logger;
};

/** What becomes of one delivery: `payload` is JSON of what is shown, null for nothing. */
type Settled = { readonly id: string; readonly event: string; readonly payload: string | null };

/** Unasked, for what another server left or what could not be judged. */
const LOOK_MS = 500;
const NO_LONGER_KEPT = 'no longer in history when it was to be judged';
const decoder = new TextDecoder();

export class WebhookJudge implements Service {
  readonly name = 'webhook-judge';
  readonly #options: WebhookJudgeOptions;
  readonly #wake = new Wake();

  constructor(options: WebhookJudgeOptions) {
    this.#options = options;
  }

  /** There may be something to be judged. */
  wake(): void {
    this.#wake.up();
  }

  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const settled = this.#options.isLeading() ? await this.look(signal) : 0;
      if (settled === 0) await this.#wake.next(LOOK_MS, signal);
    }
  }

  /** Judges the next deliveries that are due; resolves to how many are settled. Rejects when the database cannot be asked. */
  async look(signal: AbortSignal): Promise<number> {
    const { rows } = await this.#options.pool.query<UnjudgedRow>({ name: 'rowcast_unjudged', text: UNJUDGED });
    let settled = 0;
    for (const group of Map.groupBy(rows, keyOf).values()) {
      if (signal.aborted) return settled;
      settled += await this.#judgeOrPostpone(group, signal);
    }
    if (settled > 0) this.#options.onPending();
    return settled;
  }

  // One table that cannot be judged keeps no other waiting.
  async #judgeOrPostpone(rows: readonly UnjudgedRow[], signal: AbortSignal): Promise<number> {
    try {
      return await this.#judge(rows, signal);
    } catch (err) {
      if (signal.aborted) return 0;
      const { endpoint_id: endpointId, channel_name: channel } = must(rows[0], 'a delivery');
      this.#options.log.warn({ err, endpointId, channel }, 'row changes for a webhook could not be judged yet');
      await this.#postpone(rows);
      return 0;
    }
  }

  async #judge(rows: readonly UnjudgedRow[], signal: AbortSignal): Promise<number> {
    const first = must(rows[0], 'a delivery');
    const { role, claims, channel_name: channel, table_oid: tableOid } = first;
    const identity = this.#options.identityOf(role, JSON.parse(claims ?? '{}') as Claims);
    if (identity === undefined) return this.#hide(rows, `no policies are asked for the role ${role}`);
    if (tableOid === null) return this.#hide(rows, 'the table is gone');
    const until = must(rows.at(-1), 'a delivery').position;
    const source = new ReplaySource(this.#options.source, channel as CanonicalChannel, tableOid);
    const slice = await source.read({ after: justBelow(first.position), until, limit: rows.length * 2 }, undefined);
    if (slice === undefined) return this.#hide(rows, 'the table is gone');
    const read = slice.isEnd ? until : (slice.last ?? '');
    const group = groupOf(first, identity);
    const told = await toldMessages(slice.messages, group, this.#options.frames, signal);
    return this.#settleAll(
      rows.filter(({ position }) => position <= read),
      new Map(told.map((message) => [message.position, message])),
    );
  }

  async #settleAll(rows: readonly UnjudgedRow[], told: ReadonlyMap<string, ToldMessage>): Promise<number> {
    const found = rows.map((row) => ({ row, message: told.get(row.position) }));
    const withheld = found.filter(({ message, row }) => message?.kind === 'withheld' && !row.is_late);
    const gone = found.filter(({ message }) => message === undefined).map(({ row }) => row);
    const judged = found.filter(
      ({ message, row }) => message !== undefined && (message.kind !== 'withheld' || row.is_late),
    );
    if (withheld.length > 0) await this.#postpone(withheld.map(({ row }) => row));
    await this.#settle(judged.map(({ row, message }) => settledOf(row, must(message, 'what was judged'))));
    return judged.length + (await this.#hide(gone, NO_LONGER_KEPT));
  }

  async #hide(rows: readonly UnjudgedRow[], reason: string): Promise<number> {
    if (rows.length === 0) return 0;
    const { endpoint_id: endpointId, channel_name: channel } = must(rows[0], 'a delivery');
    this.#options.log.warn(
      { endpointId, channel, deliveries: rows.length, reason },
      'row changes are not sent to a webhook',
    );
    await this.#settle(
      rows.map(({ id, event_name }) => ({ id, event: event_name, payload: null })),
      reason,
    );
    return rows.length;
  }

  async #settle(settled: readonly Settled[], reason: string | null = null): Promise<void> {
    if (settled.length === 0) return;
    const values = [
      settled.map(({ id }) => id),
      settled.map(({ event }) => event),
      settled.map(({ payload }) => payload),
      reason,
    ];
    await this.#options.pool.query({ name: 'rowcast_settle_judged', text: SETTLE, values });
  }

  async #postpone(rows: readonly UnjudgedRow[]): Promise<void> {
    await this.#options.pool.query(
      `update realtime.webhook_deliveries set next_attempt_at = pg_catalog.now() + interval '10 seconds'
       where id = any ($1) and state = 'unjudged'`,
      [rows.map(({ id }) => id)],
    );
  }
}

function keyOf({ endpoint_id, channel_name }: UnjudgedRow): string {
  return `${endpoint_id} ${channel_name}`;
}

function groupOf({ channel_name, events }: UnjudgedRow, identity: Identity): Group {
  const wanted = events === null ? null : new Set(events);
  const spec = { dialect: 'rowcast', channelName: channel_name, events: wanted, filter: null, identity } as const;
  return { channel: channel_name, key: '', spec, members: new Set() };
}

function settledOf({ id, event_name }: UnjudgedRow, message: ToldMessage): Settled {
  if (message.kind !== 'shown') return { id, event: event_name, payload: null };
  return { id, event: message.event, payload: decoder.decode(message.payload) };
}

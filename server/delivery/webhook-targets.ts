// Owns how the journal makes webhook deliveries: it asks once a batch which endpoints get what, so that the audience that is
// counted with a message and the deliveries that are written for it are the same. Rows and bodies are made in SQL.

import type { ClientBase } from 'pg';
import { must } from '../lib/assert.ts';
import type { CanonicalChannel } from '../protocol/channel-name.ts';
import type { JournaledChange } from './history-rows.ts';
import type { JournalEntry } from './journal-queue.ts';
import type { PlacedMessage } from './published-history.ts';

type TargetRow = { readonly channel_name: string; readonly event_name: string; readonly endpoint_id: string };
type Told = Pick<JournalEntry['message'], 'channel' | 'event'>;

const FIND = 'select t.channel_name, t.event_name, t.endpoint_id from realtime.webhook_targets($1, $2) as t';
const ENQUEUE_MESSAGES = 'select realtime.enqueue_messages($1, $2, $3, $4, $5, $6) as written';
const ENQUEUE_CHANGES = 'select realtime.enqueue_changes($1, $2, $3, $4, $5, $6) as written';

/** The endpoints of the channels and events of one batch. */
export class WebhookTargets {
  readonly rows: readonly TargetRow[];
  readonly #counts: ReadonlyMap<string, number>;
  #lastChannel: string | undefined;
  #lastEvent: string | undefined;
  #lastCount = 0;

  constructor(rows: readonly TargetRow[]) {
    this.rows = rows;
    const counts = new Map<string, number>();
    for (const { channel_name, event_name } of rows) {
      const key = keyOf(channel_name, event_name);
      counts.set(key, (counts.get(key) ?? 0) + 1);
    }
    this.#counts = counts;
  }

  get isEmpty(): boolean {
    return this.rows.length === 0;
  }

  /** How many deliveries a message gets. Asked for every change: neighbours are mostly alike. */
  countOf(channel: CanonicalChannel, event: string): number {
    if (this.isEmpty) return 0;
    if (channel === this.#lastChannel && event === this.#lastEvent) return this.#lastCount;
    this.#lastChannel = channel;
    this.#lastEvent = event;
    this.#lastCount = this.#counts.get(keyOf(channel, event)) ?? 0;
    return this.#lastCount;
  }
}

export const NO_TARGETS = new WebhookTargets([]);

/** Which endpoints get the messages of `entries`. */
export async function findTargets(client: ClientBase, entries: readonly JournalEntry[]): Promise<WebhookTargets> {
  const told = distinct(entries);
  if (told.length === 0) return NO_TARGETS;
  const values = [told.map(({ channel }) => channel), told.map(({ event }) => event)];
  const { rows } = await client.query<TargetRow>({ name: 'rowcast_webhook_targets', text: FIND, values });
  return new WebhookTargets(rows);
}

/** Writes the deliveries of published messages that have no place in history yet; returns how many. */
export function enqueueMessages(
  client: ClientBase,
  placed: readonly PlacedMessage[],
  targets: WebhookTargets,
): Promise<number> {
  const wanted = placed.filter(({ message }) => targets.countOf(message.channel, message.event) > 0);
  const { rows } = targets;
  return enqueue(client, 'rowcast_enqueue_messages', ENQUEUE_MESSAGES, wanted.length, () => [
    wanted.map(({ message }) => message.messageId),
    wanted.map(({ message }) => message.timestamp),
    wanted.map(({ message }) => message.position),
    rows.map(({ channel_name }) => channel_name),
    rows.map(({ event_name }) => event_name),
    rows.map(({ endpoint_id }) => endpoint_id),
  ]);
}

/** Writes the deliveries of row changes that are in history by now; returns how many. */
export function enqueueChanges(
  client: ClientBase,
  changes: readonly JournaledChange[],
  targets: WebhookTargets,
): Promise<number> {
  const wanted = changes.filter(({ message }) => targets.countOf(message.channel, message.event) > 0);
  const rows = targets.rows.filter(({ channel_name }) => channel_name.startsWith('db:'));
  return enqueue(client, 'rowcast_enqueue_changes', ENQUEUE_CHANGES, wanted.length, () => [
    wanted.map(({ message }) => message.messageId),
    wanted.map(({ message }) => message.position),
    [...new Set(wanted.map(({ message }) => message.timestamp))],
    rows.map(({ channel_name }) => channel_name.slice('db:'.length)),
    rows.map(({ event_name }) => event_name),
    rows.map(({ endpoint_id }) => endpoint_id),
  ]);
}

async function enqueue(
  client: ClientBase,
  name: string,
  text: string,
  count: number,
  values: () => unknown[],
): Promise<number> {
  if (count === 0) return 0;
  const { rows } = await client.query<{ written: string | bigint }>({ name, text, values: values() });
  return Number(must(rows[0], 'how many deliveries were written').written);
}

function distinct(entries: readonly JournalEntry[]): Told[] {
  const told = new Map<string, Told>();
  let before: Told | undefined;
  for (const { message } of entries) {
    if (message.channel === before?.channel && message.event === before.event) continue;
    before = message;
    told.set(keyOf(message.channel, message.event), message);
  }
  return [...told.values()];
}

function keyOf(channel: string, event: string): string {
  return `${channel} ${event}`;
}

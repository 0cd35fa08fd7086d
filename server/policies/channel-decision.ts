// Owns what follows from the facts about a channel and from the verdict of the policies: one decision. Pure.
// What is refused and what does not exist is one answer; only admins are told which.

import type { Identity } from '../auth/identity.ts';
import type { ParsedChannel } from '../protocol/channel-name.ts';
import { CHANNEL_UNAVAILABLE, type Refusal } from '../protocol/error-codes.ts';
import type { EndReason } from '../protocol/server-frame.ts';
import type { ChannelVerdict } from './channel-judge.ts';
import type { Allowed, SubscribeDecision, SubscribeQuestion } from './subscribe-decision.ts';
import { type Published, tableWarnings, whereWarnings } from './subscribe-warnings.ts';
import type { TableRules } from './table-rules.ts';

export type TableFacts = Published & {
  readonly oid: number;
  /** Published by Rowcast. */
  readonly isWatched: boolean;
  /** No transaction is open any more that may have written before it was watched. */
  readonly isComplete: boolean;
  /** Another one after the table was made again, or watched anew. */
  readonly watch: string;
};

/** What the channels room knows of a channel. */
export type ChannelFacts = {
  /** The most specific row that matches; null if none does. */
  readonly deciding: { readonly id: string; readonly pattern: string; readonly isEnabled: boolean } | null;
  /** Null for other channels, and where there is no such table. */
  readonly table: TableFacts | null;
};

export type Evidence = {
  readonly facts: ChannelFacts;
  /** Null for admins, who are never asked about; `undecided` where it took too long. */
  readonly verdict: ChannelVerdict | 'undecided' | null;
  /** Of the table; undefined for other channels, and where it is gone by now. */
  readonly rules: TableRules | undefined;
};

/** Whether anything but a policy forbids it: the reason, and for admins what to do about it. */
export function findObstacle(
  channel: ParsedChannel,
  { deciding, table }: ChannelFacts,
): { readonly endReason: EndReason; readonly detail: string } | undefined {
  const isUnwatched = channel.kind === 'table' && !table?.isWatched;
  if (deciding !== null && !deciding.isEnabled) {
    return { endReason: 'channel_disabled', detail: `the channel row ${deciding.pattern} is disabled` };
  }
  if (isUnwatched) return { endReason: 'table_unwatched', detail: howToWatch(channel.canonical) };
  if (deciding === null) {
    return { endReason: 'channel_deleted', detail: `no row of realtime.channels matches ${channel.canonical}` };
  }
  return undefined;
}

export function channelDecision({ identity, channel }: SubscribeQuestion, evidence: Evidence): SubscribeDecision {
  const { facts, verdict, rules } = evidence;
  if (verdict === 'undecided') return undecided('The policies did not answer in time');
  const obstacle = findObstacle(channel, facts);
  if (obstacle !== undefined) return refused(identity, obstacle.endReason, obstacle.detail);
  if (verdict !== null && !verdict.seesChannel) return refused(identity, 'not_allowed');
  if (channel.kind !== 'table') return ALLOWED;
  if (verdict?.readsTable === false) return refused(identity, 'not_allowed');
  if (facts.table === null || rules === undefined || verdict?.readsTable === null) {
    return refused(identity, 'table_unwatched', howToWatch(channel.canonical));
  }
  return allowed(identity, rules, facts.table);
}

const ALLOWED: Allowed = {
  allowed: true,
  warnings: [],
  whereWarnings: [],
  table: null,
  watch: null,
  isComplete: true,
};

function allowed(identity: Identity, rules: TableRules, { watch, isComplete, ...published }: TableFacts): Allowed {
  const warnings = tableWarnings(identity, rules, published);
  return {
    allowed: true,
    warnings,
    whereWarnings: whereWarnings(published, warnings),
    table: rules,
    watch,
    isComplete,
  };
}

/** The database could not say: nobody is let in, and trying again may help. */
export function undecided(message: string): SubscribeDecision {
  return { allowed: false, refusal: { code: 'unavailable', message }, endReason: 'not_allowed' };
}

function refused(identity: Identity, endReason: EndReason, detail?: string): SubscribeDecision {
  const refusal: Refusal = { code: 'channel_unavailable', message: CHANNEL_UNAVAILABLE };
  return { allowed: false, refusal: identity.isAdmin ? { ...refusal, detail } : refusal, endReason };
}

function howToWatch(channel: string): string {
  const table = channel.slice('db:'.length).replaceAll("'", "''");
  return `the table is not watched: select realtime.watch('${table}')`;
}

// Owns the answer to "why do I get nothing?": whether an identity may subscribe or publish, why, and what each
// policy says by itself. It reads and asks, and never writes. For admins only: it tells everything.

import { randomUUID } from 'node:crypto';
import type { Identity } from '../auth/identity.ts';
import { must } from '../lib/assert.ts';
import type { ParsedChannel } from '../protocol/channel-name.ts';
import { type ChannelFacts, channelDecision, findObstacle } from './channel-decision.ts';
import type { ChannelQuestion, ChannelVerdict } from './channel-judge.ts';
import type { JudgeAnswer, JudgeRequest } from './judge-call.ts';
import { findDenial, REASONS, type Reason } from './permission-reason.ts';
import type { Action, PermissionStore, PublishChannel, RoleRights } from './permission-store.ts';
import { type RowImage, type TriedPolicy, tryPolicies } from './policy-trial.ts';
import { isReservedChannel, isReservedEvent } from './reserved-name.ts';
import { type TableReport, tableReport } from './table-report.ts';
import type { TableRules } from './table-rules.ts';
import { UnhurriedJudge } from './unhurried-judge.ts';

export type PermissionQuestion = {
  readonly identity: Identity;
  readonly channel: ParsedChannel;
  /** For `publish`. */
  readonly event: string;
  readonly payload: unknown;
};

export type PermissionAnswer = {
  readonly allowed: boolean;
  readonly reason: Reason;
  readonly message: string;
  readonly channel: { readonly pattern: string; readonly enabled: boolean } | null;
  readonly policies: readonly TriedPolicy[];
  readonly table?: TableReport;
};

export type PermissionCheckOptions = {
  readonly store: PermissionStore;
  readonly channels: { facts(channels: readonly ParsedChannel[]): Promise<readonly ChannelFacts[]> };
  readonly judge: { judge(questions: readonly ChannelQuestion[]): Promise<readonly ChannelVerdict[]> };
  readonly rules: { read(oids: readonly number[]): Promise<ReadonlyMap<number, TableRules>> };
  readonly imageJudge: { ask(request: JudgeRequest): Promise<JudgeAnswer> };
};

const OBSTACLES = {
  channel_deleted: 'no_channel',
  channel_disabled: 'channel_disabled',
  table_unwatched: 'not_watched',
  not_allowed: 'denied',
} as const;

export class PermissionCheck {
  readonly #options: PermissionCheckOptions;

  constructor(options: PermissionCheckOptions) {
    this.#options = options;
  }

  /** Rejects when the database cannot be asked. */
  check(action: Action, question: PermissionQuestion): Promise<PermissionAnswer> {
    return action === 'subscribe' ? this.#subscribe(question) : this.#publish(question);
  }

  async #subscribe({ identity, channel }: PermissionQuestion): Promise<PermissionAnswer> {
    const [facts] = await this.#options.channels.facts([channel]);
    const { deciding, table } = must(facts, 'the facts about a channel');
    const verdict = identity.isAdmin ? null : await this.#verdict(identity, channel, deciding?.id, table?.oid);
    const rules = table === null ? undefined : (await this.#options.rules.read([table.oid])).get(table.oid);
    const decision = channelDecision({ identity, channel }, { facts: { deciding, table }, verdict, rules });
    const rights = identity.isAdmin ? undefined : await this.#options.store.rights('subscribe', identity.role);
    const policies = rights && deciding ? await this.#tryOnChannel(rights, deciding.id, identity, channel) : [];
    const report = table === null || rules === undefined ? {} : { table: tableReport(identity, rules, table) };
    const about = { channel: shownChannel(deciding), policies, ...report };
    if (decision.allowed) return answer(identity.isAdmin ? 'admin' : 'allowed', about);
    const obstacle = findObstacle(channel, { deciding, table });
    if (obstacle !== undefined) return answer(OBSTACLES[obstacle.endReason], about);
    if (verdict === 'undecided') return answer('undecided', about);
    const denial = verdict?.seesChannel ? 'no_table_grant' : rights && findDenial(rights, policies);
    return answer(denial ?? 'denied', about);
  }

  async #verdict(
    identity: Identity,
    { canonical }: ParsedChannel,
    channelId: string | undefined,
    tableOid: number | undefined,
  ): Promise<ChannelVerdict | 'undecided'> {
    const question = { identity, channelName: canonical, channelId: channelId ?? null, tableOid: tableOid ?? null };
    const [verdict] = await new UnhurriedJudge(this.#options.judge).judge([question]);
    return must(verdict, 'a verdict');
  }

  async #publish({ identity, channel, event, payload }: PermissionQuestion): Promise<PermissionAnswer> {
    const name = channel.canonical;
    const deciding = await this.#options.store.publishChannel(name);
    const rights = identity.isAdmin ? undefined : await this.#options.store.rights('publish', identity.role);
    const texts = messageTexts(identity, name, event, payload, deciding);
    const policies = rights ? await this.#try(rights, texts, identity, name) : [];
    const about = { channel: shownChannel(deciding ?? null), policies };
    const obstacle = publishObstacle(name, event, deciding);
    if (obstacle !== undefined) return answer(obstacle, about);
    if (rights === undefined) return answer('admin', about);
    return answer(findDenial(rights, policies) ?? 'allowed', about);
  }

  async #tryOnChannel(
    rights: RoleRights,
    channelId: string,
    identity: Identity,
    { canonical }: ParsedChannel,
  ): Promise<readonly TriedPolicy[]> {
    const columns = [...(await this.#rulesOf(rights.oid)).columns.keys()];
    const row = await this.#options.store.channelRow(channelId, columns);
    if (row === undefined) return [];
    const texts = new Map(columns.map((name, index) => [name, row[index] ?? null]));
    return this.#try(rights, texts, identity, canonical);
  }

  async #try(
    { oid, isBound, policies }: RoleRights,
    texts: RowImage['texts'],
    { role, claims }: Identity,
    channelName: string,
  ): Promise<readonly TriedPolicy[]> {
    if (!isBound) return [];
    const image = { rules: await this.#rulesOf(oid), texts };
    const asker = { role, claims: JSON.stringify(claims), channelName };
    return tryPolicies(this.#options.imageJudge, policies, image, asker);
  }

  async #rulesOf(oid: number): Promise<TableRules> {
    return must((await this.#options.rules.read([oid])).get(oid), 'a table of Rowcast');
  }
}

function answer(reason: Reason, about: Omit<PermissionAnswer, 'allowed' | 'reason' | 'message'>): PermissionAnswer {
  return { allowed: reason === 'allowed' || reason === 'admin', reason, message: REASONS[reason], ...about };
}

function shownChannel(
  deciding: { readonly pattern: string; readonly isEnabled: boolean } | null,
): PermissionAnswer['channel'] {
  return deciding === null ? null : { pattern: deciding.pattern, enabled: deciding.isEnabled };
}

function publishObstacle(name: string, event: string, deciding: PublishChannel | undefined): Reason | undefined {
  if (isReservedChannel(name) || isReservedEvent(event)) return 'reserved_name';
  if (deciding === undefined) return 'no_channel';
  if (!deciding.isEnabled) return 'channel_disabled';
  return deciding.persist ? undefined : 'not_persisted';
}

/** The row as realtime.admit_message() would settle it, by the exact texts of its columns. */
function messageTexts(
  { sub }: Identity,
  name: string,
  event: string,
  payload: unknown,
  deciding: PublishChannel | undefined,
): RowImage['texts'] {
  const isAdmitted = deciding?.isEnabled === true && deciding.persist;
  return new Map<string, string | null>([
    ['id', randomUUID()],
    ['channel_id', isAdmitted ? deciding.id : null],
    ['channel_name', name],
    ['event_name', event],
    ['payload', JSON.stringify(payload)],
    ['sender_type', 'user'],
    ['sender_id', sub],
    ['connection_id', null],
    ['position', null],
    ['ws_audience_count', '0'],
    ['wh_audience_count', '0'],
    ['wh_delivered_count', '0'],
    ['created_at', new Date().toISOString()],
  ]);
}

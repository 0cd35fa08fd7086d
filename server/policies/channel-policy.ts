// Owns the decision about a subscription. A channel needs an enabled row that matches it; a table has to be
// watched, and completely so. Admins may then subscribe; others only to tables of which their role sees all
// rows and columns: policies on realtime.channels and row policies widen this later. What is refused and what
// does not exist is one answer; only admins are told which.

import type { Identity } from '../auth/identity.ts';
import type { ParsedChannel, TableName } from '../protocol/channel-name.ts';
import { CHANNEL_UNAVAILABLE, type Refusal } from '../protocol/error-codes.ts';
import type { SubscribeDecision, SubscribePolicy } from './subscribe-decision.ts';
import type { TableGrants } from './table-grants-store.ts';

export type WatchedFacts = {
  readonly oid: number;
  readonly isComplete: boolean;
  /** Why UPDATE and DELETE are not published; null where they are. */
  readonly identityGap: string | null;
};

/** What the channels room answers about a name and a table. */
export interface ChannelFacts {
  deciding(name: string): Promise<{ readonly pattern: string; readonly isEnabled: boolean } | undefined>;
  watched(table: TableName): Promise<WatchedFacts | undefined>;
  /** Waits until the table is watched completely; false when that takes too long. */
  waitUntilComplete(oid: number): Promise<boolean>;
}

export type ChannelPolicyOptions = {
  readonly facts: ChannelFacts;
  readonly grants: { read(oid: number): Promise<TableGrants> };
  /** Whether a position can be given: some stream has been open. */
  readonly isReady: () => boolean;
};

const ALLOWED: SubscribeDecision = { allowed: true, warnings: [] };

export class ChannelPolicy implements SubscribePolicy {
  readonly #options: ChannelPolicyOptions;

  constructor(options: ChannelPolicyOptions) {
    this.#options = options;
  }

  async decide(identity: Identity, channel: ParsedChannel): Promise<SubscribeDecision> {
    if (!this.#options.isReady()) return unavailable('The server is not connected to the database yet');
    const deciding = await this.#options.facts.deciding(channel.canonical);
    if (deciding === undefined) return refuse(identity, howToOpen(channel));
    if (!deciding.isEnabled) return refuse(identity, `the channel row ${deciding.pattern} is disabled`);
    if (channel.kind === 'table') return this.#decideTable(identity, channel.canonical, channel.table);
    return identity.isAdmin ? ALLOWED : refuse(identity, 'subscribe policies are not supported yet');
  }

  async #decideTable(identity: Identity, channel: string, table: TableName): Promise<SubscribeDecision> {
    const { facts, grants } = this.#options;
    const watched = await facts.watched(table);
    if (watched === undefined) return refuse(identity, `the table is not watched: ${watchStatement(channel)}`);
    if (!identity.isAdmin && !(await grants.read(watched.oid)).roles.includes(identity.role)) {
      return refuse(identity, `role ${identity.role} does not see all rows of the table`);
    }
    if (watched.isComplete || (await facts.waitUntilComplete(watched.oid))) return allowedWith(watched);
    return unavailable('Transactions older than the watching of this table are still open');
  }
}

function allowedWith({ identityGap }: WatchedFacts): SubscribeDecision {
  if (identityGap === null) return ALLOWED;
  const message = `Only INSERT and TRUNCATE are delivered: ${identityGap}`;
  return { allowed: true, warnings: [{ code: 'inserts_only', message }] };
}

function howToOpen(channel: ParsedChannel): string {
  if (channel.kind === 'table') return `the table is not watched: ${watchStatement(channel.canonical)}`;
  return 'no row of realtime.channels matches this name';
}

function watchStatement(channel: string): string {
  return `select realtime.watch('${channel.slice('db:'.length).replaceAll("'", "''")}')`;
}

function refuse(identity: Identity, detail: string): SubscribeDecision {
  const refusal: Refusal = { code: 'channel_unavailable', message: CHANNEL_UNAVAILABLE };
  return { allowed: false, refusal: identity.isAdmin ? { ...refusal, detail } : refusal };
}

function unavailable(message: string): SubscribeDecision {
  return { allowed: false, refusal: { code: 'unavailable', message } };
}

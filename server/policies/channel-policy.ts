// Owns the decision about a subscription: the facts about the channel, the user's policies on
// realtime.channels, and the grants on the table. The same statements run whatever the outcome, so that a
// refusal tells nothing; only who was allowed costs more. What follows from the answers is
// channel-decision.ts's, remembering decision-cache.ts's.

import type { Identity } from '../auth/identity.ts';
import { classifyDatabaseError, mayPass } from '../db/sqlstate.ts';
import { must } from '../lib/assert.ts';
import type { ParsedChannel } from '../protocol/channel-name.ts';
import type { FilterFrame } from '../protocol/client-frame.ts';
import { type ChannelFacts, channelDecision, undecided } from './channel-decision.ts';
import type { ChannelQuestion, ChannelVerdict } from './channel-judge.ts';
import { DecisionCache } from './decision-cache.ts';
import type {
  Allowed,
  RowFilterResult,
  SubscribeDecision,
  SubscribePolicy,
  SubscribeQuestion,
} from './subscribe-decision.ts';
import { readTableFilter } from './table-filter.ts';
import type { TableRules } from './table-rules.ts';
import { UnhurriedJudge } from './unhurried-judge.ts';
import type { WhereJudge } from './where-check.ts';

/** What the channels room answers about names and tables. */
export interface ChannelFactsSource {
  facts(channels: readonly ParsedChannel[]): Promise<readonly ChannelFacts[]>;
  /** Waits until the table is watched completely; false when that takes too long. */
  waitUntilComplete(oid: number): Promise<boolean>;
}

export type ChannelPolicyOptions = {
  readonly channels: ChannelFactsSource;
  readonly judge: { judge(questions: readonly ChannelQuestion[]): Promise<readonly ChannelVerdict[]> };
  readonly rules: { read(oids: readonly number[]): Promise<ReadonlyMap<number, TableRules>> };
  readonly whereJudge: WhereJudge;
  /** Whether a position can be given: some stream has been open. */
  readonly isReady: () => boolean;
  /** Told of every decision to subscribe. */
  readonly onDecision: (outcome: 'allowed' | 'refused' | 'undecided') => void;
  readonly now: () => number;
};

const MAX_AGE_MS = 1_000;
const MAX_REMEMBERED = 10_000;

type Facts = { readonly question: SubscribeQuestion; readonly facts: ChannelFacts };

export class ChannelPolicy implements SubscribePolicy {
  readonly #options: ChannelPolicyOptions;
  readonly #decisions: DecisionCache;
  readonly #unhurried: UnhurriedJudge;

  constructor(options: ChannelPolicyOptions) {
    this.#options = options;
    this.#decisions = new DecisionCache({ maxAgeMs: MAX_AGE_MS, maxEntries: MAX_REMEMBERED, now: options.now });
    this.#unhurried = new UnhurriedJudge(options.judge);
  }

  async decide(identity: Identity, channel: ParsedChannel): Promise<SubscribeDecision> {
    const decision = await this.#decideOrNot(identity, channel);
    this.#options.onDecision(outcomeOf(decision));
    return decision;
  }

  async review(questions: readonly SubscribeQuestion[]): Promise<readonly SubscribeDecision[]> {
    const known = await this.#readFacts(questions);
    return this.#conclude(known, await this.#unhurried.judge(asked(known)));
  }

  readFilter(identity: Identity, table: TableRules, filter: FilterFrame): Promise<RowFilterResult> {
    return readTableFilter(this.#options.whereJudge, identity, table, filter);
  }

  /** Forgets what was remembered: the next decisions are read anew. */
  forget(): void {
    this.#decisions.forget();
  }

  async #decideOrNot(identity: Identity, channel: ParsedChannel): Promise<SubscribeDecision> {
    if (!this.#options.isReady()) return undecided('The server is not connected to the database yet');
    try {
      const key = JSON.stringify([identity.classKey, channel.canonical]);
      const decision = await this.#decisions.get(key, () => this.#ask({ identity, channel }));
      return decision.allowed ? await this.#whenComplete(decision) : decision;
    } catch (error) {
      const { kind } = classifyDatabaseError(error);
      if (mayPass(kind)) return undecided('The database cannot be asked at the moment');
      throw error;
    }
  }

  async #ask(question: SubscribeQuestion): Promise<SubscribeDecision> {
    const known = await this.#readFacts([question]);
    const questions = asked(known);
    const verdicts = questions.length === 0 ? [] : await this.#options.judge.judge(questions);
    const [decision] = await this.#conclude(known, verdicts);
    return decision as SubscribeDecision;
  }

  /** Asks about each channel once, however many questions are about it. */
  async #readFacts(questions: readonly SubscribeQuestion[]): Promise<readonly Facts[]> {
    const channels = new Map(questions.map(({ channel }) => [channel.canonical, channel]));
    const answers = await this.#options.channels.facts([...channels.values()]);
    const facts = new Map([...channels.keys()].map((name, index) => [name, answers[index]]));
    return questions.map((question) => ({
      question,
      facts: must(facts.get(question.channel.canonical), 'the facts about a channel'),
    }));
  }

  /** `verdicts` are those of the users among `known`, in their order. */
  async #conclude(
    known: readonly Facts[],
    verdicts: readonly (ChannelVerdict | 'undecided')[],
  ): Promise<readonly SubscribeDecision[]> {
    const answers = verdicts.values();
    const judged = known.map((one) => ({
      ...one,
      verdict: one.question.identity.isAdmin ? null : (answers.next().value ?? 'undecided'),
    }));
    const oids = judged.flatMap(({ question, facts, verdict }) => tableWanted(question, facts, verdict));
    const rules =
      oids.length === 0 ? new Map<number, TableRules>() : await this.#options.rules.read([...new Set(oids)]);
    return judged.map(({ question, facts, verdict }) =>
      channelDecision(question, { facts, verdict, rules: rules.get(facts.table?.oid ?? 0) }),
    );
  }

  // Apart from what is remembered: waiting may take longer than an answer holds.
  async #whenComplete(decision: Allowed): Promise<SubscribeDecision> {
    if (decision.table === null || decision.isComplete) return decision;
    if (await this.#options.channels.waitUntilComplete(decision.table.oid)) return decision;
    return undecided('Transactions older than the watching of this table are still open');
  }
}

// Asked about alike whether there is such a channel or table or not.
function asked(known: readonly Facts[]): readonly ChannelQuestion[] {
  const ofUsers = known.filter(({ question }) => !question.identity.isAdmin);
  return ofUsers.map(({ question: { identity, channel }, facts }) => ({
    identity,
    channelName: channel.canonical,
    channelId: facts.deciding?.id ?? null,
    tableOid: facts.table?.oid ?? null,
  }));
}

/** The table whose rules are needed: only of who will be allowed, most likely. */
function tableWanted(
  { channel }: SubscribeQuestion,
  { deciding, table }: ChannelFacts,
  verdict: ChannelVerdict | 'undecided' | null,
): readonly number[] {
  if (channel.kind !== 'table' || table === null || !table.isWatched || deciding?.isEnabled !== true) return [];
  if (verdict === 'undecided') return [];
  return verdict === null || (verdict.seesChannel && verdict.readsTable) ? [table.oid] : [];
}

function outcomeOf(decision: SubscribeDecision): 'allowed' | 'refused' | 'undecided' {
  if (decision.allowed) return 'allowed';
  return decision.refusal.code === 'unavailable' ? 'undecided' : 'refused';
}

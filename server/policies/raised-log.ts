// Owns what operators hear of policies that raise: which table, which role, and the name of the policy, found
// by asking each of them alone about the row at fault. Once in a while for each table and role, never with
// the message: that may hold data.

import type { Logger } from '../lib/logger.ts';
import { canonicalTable } from '../protocol/channel-name.ts';
import { imageStatement } from './image-statement.ts';
import type { JudgeCall, JudgeFailure, JudgeRequest } from './judge-call.ts';
import type { Question } from './judge-plan.ts';
import type { RaisedReporter } from './row-judge.ts';
import type { PolicyRule } from './table-rules.ts';

export type RaisedLogOptions = {
  readonly call: Pick<JudgeCall, 'ask'>;
  readonly tellEveryMs: number;
  readonly now: () => number;
  readonly log: Logger;
};

const MAX_KEPT = 1_000;

export class RaisedLog implements RaisedReporter {
  readonly #options: RaisedLogOptions;
  readonly #toldAt = new Map<string, number>();

  constructor(options: RaisedLogOptions) {
    this.#options = options;
  }

  async report(question: Question, failure: JudgeFailure): Promise<void> {
    const { tellEveryMs, now, log } = this.#options;
    const toldAt = this.#toldAt.get(question.group);
    if (toldAt !== undefined && now() - toldAt < tellEveryMs) return;
    if (this.#toldAt.size >= MAX_KEPT) this.#toldAt.clear();
    this.#toldAt.set(question.group, now());
    const { rules, identity, kind } = question;
    const table = canonicalTable({ schema: rules.schema, table: rules.name });
    const about = { table, role: identity.role, sqlstate: failure.sqlstate };
    if (kind === 'where') return log.warn(about, 'a filter raised: the row does not count as wanted');
    const policies = await this.#culprits(question, failure).catch(() => []);
    log.warn({ ...about, policies }, 'a policy raised: the row is denied to the identities for which it did');
  }

  /** The names of the policies that raise for the row by themselves. */
  async #culprits(question: Question, { row }: JudgeFailure): Promise<string[]> {
    const policies = question.rules.roles.get(question.identity.role ?? '')?.policies ?? [];
    const answer = await this.#options.call.ask(apart(question, policies, Math.max(row, 1)));
    if (answer.state !== 'ok') return [];
    return [...new Set(answer.failures.map(({ entry }) => (policies[entry] as PolicyRule).name))];
  }
}

/** Asks every policy alone about one image. */
function apart(
  { set, condition, rules, identity }: Question,
  policies: readonly PolicyRule[],
  row: number,
): JudgeRequest {
  const places = set.places.map((name) => (name !== null && condition.needed.has(name) ? name : null));
  const literal = set.literals(condition.needed)[row - 1] as string;
  const asks = ({ using }: PolicyRule): string => imageStatement(rules, places, using, condition.computed);
  return {
    xids: [],
    relids: [],
    fingerprints: null,
    sets: [[literal]],
    statements: policies.map((policy) => ({ sql: asks(policy), set: 0 })),
    identities: [identity],
    entries: policies.map((_, statement) => ({ identity: 0, statement, isSuspect: false })),
    budgetMs: 500,
  };
}

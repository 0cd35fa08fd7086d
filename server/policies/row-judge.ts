// Owns the judging of row images: whoever is asked about, every distinct question once, in as few calls as the
// bounds allow. Rules are read when their fingerprint says so. A row that raises is denied to the one whose
// policy raised; a policy that takes too long is left alone for a while, and its viewers are told of a gap.

import type { Logger } from '../lib/logger.ts';
import { canonicalTable } from '../protocol/channel-name.ts';
import type { JudgeAnswer, JudgeFailure } from './judge-call.ts';
import { JudgePlan, type Question } from './judge-plan.ts';
import { type JudgeFrame, judgeRequest } from './judge-request.ts';
import type { JudgeCounters, JudgeSettings } from './judge-settings.ts';
import type { PatientAnswer, PatientCall } from './patient-call.ts';
import type { Quarantine } from './quarantine.ts';
import { type JudgedTable, NO, type SetVerdict, type TableVerdicts, UNKNOWN, YES } from './row-verdict.ts';
import type { RulesCache } from './rules-cache.ts';
import type { Suspects } from './suspects.ts';

/** Hears of questions that raised, once each a batch. */
export interface RaisedReporter {
  /** `row` is from 1; 0 for all. Never rejects. */
  report(question: Question, failure: JudgeFailure): Promise<void>;
}

export type RowJudgeOptions = {
  readonly call: PatientCall;
  readonly rules: RulesCache;
  readonly quarantine: Quarantine;
  readonly suspects: Suspects;
  readonly settings: JudgeSettings;
  readonly counters: JudgeCounters;
  readonly raised: RaisedReporter;
  readonly now: () => number;
  readonly log: Logger;
};

export class RowJudge {
  readonly #options: RowJudgeOptions;

  constructor(options: RowJudgeOptions) {
    this.#options = options;
  }

  /**
   * Verdicts for all viewers of `tables`, by rules and data of one instant that contains the transactions `xids`
   * (their low 32 bits). Rejects when the database cannot be asked, or `signal` is aborted meanwhile.
   */
  async judge(tables: readonly JudgedTable[], xids: readonly number[], signal: AbortSignal): Promise<TableVerdicts[]> {
    const { rules, settings } = this.#options;
    for (;;) {
      const { relids, fingerprints, conditions } = await rules.of(tables);
      const plan = new JudgePlan(tables, conditions);
      const frame = { xids, relids, fingerprints, budgetMs: settings.budgetMs };
      if (await this.#answer(plan.questions, frame, signal)) return plan.verdicts();
      rules.forget(relids);
      signal.throwIfAborted();
    }
  }

  /** Gives every question its verdict; false if the rules have changed meanwhile. Asks at least once: for that. */
  async #answer(questions: readonly Question[], frame: JudgeFrame, signal: AbortSignal): Promise<boolean> {
    let waiting = questions.filter((question) => !this.#isWithheld(question));
    do {
      const chunk = this.#chunk(waiting);
      const answer = await this.#ask(chunk, frame, signal);
      if (answer.state === 'stale' || this.#failsByAge(chunk, answer)) return false;
      if (answer.state === 'ok') {
        await this.#take(chunk, answer);
        waiting = waiting.slice(answer.hits.length);
      } else {
        this.#hold(chunk[answer.entry as number] as Question, questions);
      }
      waiting = waiting.filter((question) => !this.#isWithheld(question));
    } while (waiting.length > 0);
    return true;
  }

  // A name in a statement that is nobody's, or somebody else's, may come from rules that were read long ago.
  #failsByAge(chunk: readonly Question[], answer: PatientAnswer): boolean {
    if (answer.state !== 'ok') return false;
    const relids = answer.failures.filter(isOfNames).map(({ entry }) => (chunk[entry] as Question).rules.oid);
    return relids.some((oid) => this.#options.rules.isAged(oid));
  }

  #isWithheld(question: Question): boolean {
    question.isWithheld = this.#options.quarantine.isHeld(question);
    return question.isWithheld;
  }

  #chunk(questions: readonly Question[]): readonly Question[] {
    let pairs = 0;
    let count = 0;
    while (count < questions.length && pairs < this.#options.settings.maxPairs) {
      pairs += (questions[count++] as Question).set.size;
    }
    return questions.slice(0, count);
  }

  // A call that was cancelled is tried once more, saying where it is: then it is known who takes so long. Soon
  // after one every call says so at once.
  async #ask(chunk: readonly Question[], frame: JudgeFrame, signal: AbortSignal): Promise<PatientAnswer> {
    const { call, counters, suspects, quarantine, now } = this.#options;
    const request = judgeRequest(chunk, frame, ({ key }) => suspects.has(key));
    const startedAt = now();
    let answer = await call.ask(request, quarantine.isAlert, signal);
    if (answer.state === 'cancelled' && answer.entry === undefined) answer = await call.ask(request, true, signal);
    if (answer.state === 'cancelled' && answer.entry === undefined) {
      throw new Error('judging rows takes too long although no policy was asked');
    }
    counters.judged(
      chunk.reduce((pairs, { set }) => pairs + set.size, 0),
      now() - startedAt,
    );
    return answer;
  }

  async #take(chunk: readonly Question[], { hits, failures }: Extract<JudgeAnswer, { state: 'ok' }>): Promise<void> {
    const raised = Map.groupBy(failures, ({ entry }) => entry);
    for (const [entry, rows] of hits.entries()) {
      const question = chunk[entry] as Question;
      const failed = raised.get(entry) ?? [];
      question.verdict = verdictOf(question, rows, failed);
      await this.#noteRaised(question, failed);
    }
  }

  async #noteRaised(question: Question, failures: readonly JudgeFailure[]): Promise<void> {
    const { suspects, counters, raised } = this.#options;
    const { size } = question.set;
    const [first] = failures;
    const isWhole = first?.row === 0 || failures.at(-1)?.row === 0;
    // What fails by a missing right or name is ours, or the operator's, to mend: a SELECT may well show the row.
    question.isWithheld = isWhole || failures.some(isOfNames);
    const rows = isWhole ? size : failures.length;
    suspects.note(question.key, rows, size);
    if (first === undefined) return;
    counters.raised(rows);
    await raised.report(question, first);
  }

  #hold(question: Question, asked: readonly Question[]): void {
    const { quarantine, counters, log } = this.#options;
    const { rules, identity, kind, group } = question;
    // Filters are each their own: some that are slow say nothing of the others.
    const groupSize =
      kind === 'where' ? Number.POSITIVE_INFINITY : asked.filter((other) => other.group === group).length;
    const forMs = quarantine.hold(question, groupSize);
    counters.quarantined();
    const message = 'a policy or filter did not answer in time: its rows are withheld for a while';
    log.error(
      { table: canonicalTable({ schema: rules.schema, table: rules.name }), role: identity.role, kind, forMs },
      message,
    );
  }
}

function isOfNames({ sqlstate }: JudgeFailure): boolean {
  return sqlstate.startsWith('42') || sqlstate.startsWith('3F');
}

/**
 * What is not true is false; or unknown, where policies that might have let it through were not asked, or where
 * the question was given up before it came to the row.
 */
function verdictOf(
  { set, condition }: Question,
  hits: readonly number[] | 'all',
  failures: readonly JudgeFailure[],
): SetVerdict {
  if (hits === 'all') return YES;
  const isGivenUp = failures.some(({ row }) => row === 0);
  const otherwise = condition.isPartial || isGivenUp ? UNKNOWN : NO;
  if (hits.length === 0 && failures.length === 0) return otherwise;
  const verdict = new Uint8Array(set.size).fill(otherwise);
  for (const row of hits) verdict[row - 1] = YES;
  for (const { row } of failures) if (row > 0) verdict[row - 1] = NO;
  return verdict;
}

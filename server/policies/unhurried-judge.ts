// Owns the judging of many questions of which some may never end: a call that runs out of time, or that a
// policy ends with an error that may pass, is halved until each such question stands alone and is left
// undecided, so that it does not keep the others from their answer. After too many of them the rest is left
// undecided as well.

import { classifyDatabaseError, type DatabaseFailureKind } from '../db/sqlstate.ts';
import type { ChannelQuestion, ChannelVerdict } from './channel-judge.ts';

/** What a policy can end a call with: it waits for a lock, takes too long, or says so itself. */
const ENDED_BY_A_POLICY: ReadonlySet<DatabaseFailureKind> = new Set([
  'query_cancelled',
  'lock_timeout',
  'serialization',
  'insufficient_resources',
  'shutting_down',
]);
/** Timeouts that one batch may cost. */
const MAX_TIMEOUTS = 16;

export class UnhurriedJudge {
  readonly #judge: { judge(questions: readonly ChannelQuestion[]): Promise<readonly ChannelVerdict[]> };

  constructor(judge: { judge(questions: readonly ChannelQuestion[]): Promise<readonly ChannelVerdict[]> }) {
    this.#judge = judge;
  }

  /** Answers in the order of the questions. Rejects when the database cannot be asked at all. */
  async judge(questions: readonly ChannelQuestion[]): Promise<readonly (ChannelVerdict | 'undecided')[]> {
    return this.#judgePart(questions, { timeouts: 0 });
  }

  async #judgePart(
    questions: readonly ChannelQuestion[],
    spent: { timeouts: number },
  ): Promise<readonly (ChannelVerdict | 'undecided')[]> {
    if (questions.length === 0) return [];
    if (spent.timeouts >= MAX_TIMEOUTS) return questions.map(() => 'undecided');
    try {
      return await this.#judge.judge(questions);
    } catch (error) {
      if (!ENDED_BY_A_POLICY.has(classifyDatabaseError(error).kind)) throw error;
      spent.timeouts += 1;
      if (questions.length === 1) return ['undecided'];
      const half = Math.ceil(questions.length / 2);
      const first = await this.#judgePart(questions.slice(0, half), spent);
      return [...first, ...(await this.#judgePart(questions.slice(half), spent))];
    }
  }
}

// Owns the waiting around a judge call: for commits that are not visible yet (traps of Postgres, rule 2), and
// for failures that pass by themselves. One that does not pass may be somebody's policy, which holds a lock or
// says so itself: then it is told which. A database that cannot be asked at all is thrown: rows must not be lost
// for it, so the stream stops and comes again.

import { classifyDatabaseError, isTransient } from '../db/sqlstate.ts';
import { pause } from '../lib/backoff.ts';
import type { JudgeAnswer, JudgeCall, JudgeRequest } from './judge-call.ts';

export type PatientCallOptions = {
  readonly call: Pick<JudgeCall, 'ask'>;
  readonly patienceMs: number;
  readonly now: () => number;
};

export type PatientAnswer =
  | Exclude<JudgeAnswer, { state: 'invisible' }>
  /** It takes too long, or fails again and again; `entry` is the one that it was at, where that was asked for. */
  | { readonly state: 'cancelled'; readonly entry: number | undefined };

const FIRST_PAUSE_MS = 1;
const MAX_PAUSE_MS = 50;

export class PatientCall {
  readonly #options: PatientCallOptions;

  constructor(options: PatientCallOptions) {
    this.#options = options;
  }

  /** Asks until there is an answer. With `isTraced` a call that does not end well says at which entry it was. */
  async ask(request: JudgeRequest, isTraced: boolean, signal: AbortSignal): Promise<PatientAnswer> {
    const { patienceMs, now } = this.#options;
    const deadline = now() + patienceMs;
    for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(pauseMs * 2, MAX_PAUSE_MS)) {
      const outcome = await this.#once(request, isTraced);
      if (!(outcome instanceof PassingError)) return outcome;
      if (signal.aborted || now() > deadline) {
        if (outcome.isOfTheCall) return { state: 'cancelled', entry: outcome.entry };
        throw outcome.cause;
      }
      await pause(pauseMs, signal);
    }
  }

  /** An answer, or the failure that may pass. */
  async #once(request: JudgeRequest, isTraced: boolean): Promise<PatientAnswer | PassingError> {
    let entry: number | undefined;
    const onJudging = (judging: number): void => {
      entry = judging;
    };
    try {
      const answer = await this.#options.call.ask({ ...request, onJudging: isTraced ? onJudging : undefined });
      if (answer.state !== 'invisible') return answer;
      return new PassingError(new Error('a transaction of the stream did not become visible in the database'), false);
    } catch (error) {
      const { kind, sqlstate } = classifyDatabaseError(error);
      if (kind === 'query_cancelled') return { state: 'cancelled', entry };
      if (!isTransient(kind)) throw error;
      // With a SQLSTATE it came from the statement, not from the way to the database.
      return new PassingError(error, sqlstate !== undefined && kind !== 'too_many_connections', entry);
    }
  }
}

class PassingError extends Error {
  override readonly name = 'PassingError';
  /** Whether it may be one of the questions that fails, and not the database. */
  readonly isOfTheCall: boolean;
  readonly entry: number | undefined;

  constructor(cause: unknown, isOfTheCall: boolean, entry?: number) {
    super('the call may succeed later', { cause });
    this.isOfTheCall = isOfTheCall;
    this.entry = entry;
  }
}

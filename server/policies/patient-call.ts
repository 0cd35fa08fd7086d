// Owns the waiting around a judge call: for commits that are not visible yet (traps of Postgres, rule 2), and
// for failures that pass by themselves. What does not pass is thrown: rows must not be lost for a database
// that cannot be asked, so the stream stops and comes again.

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
  /** The call was cancelled for its time; `entry` is the one that it was at, where that was asked for. */
  | { readonly state: 'cancelled'; readonly entry: number | undefined };

const FIRST_PAUSE_MS = 1;
const MAX_PAUSE_MS = 50;

export class PatientCall {
  readonly #options: PatientCallOptions;

  constructor(options: PatientCallOptions) {
    this.#options = options;
  }

  /** Asks until there is an answer. With `isTraced` a cancelled call says at which entry it was. */
  async ask(request: JudgeRequest, isTraced: boolean, signal: AbortSignal): Promise<PatientAnswer> {
    const { patienceMs, now } = this.#options;
    const deadline = now() + patienceMs;
    for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(pauseMs * 2, MAX_PAUSE_MS)) {
      const outcome = await this.#once(request, isTraced);
      if (!(outcome instanceof Error)) return outcome;
      if (signal.aborted || now() > deadline) throw outcome;
      await pause(pauseMs, signal);
    }
  }

  /** An answer, or the failure that may pass. */
  async #once(request: JudgeRequest, isTraced: boolean): Promise<PatientAnswer | Error> {
    let at: number | undefined;
    const onJudging = (entry: number): void => {
      at = entry;
    };
    try {
      const answer = await this.#options.call.ask({ ...request, onJudging: isTraced ? onJudging : undefined });
      if (answer.state !== 'invisible') return answer;
      return new Error('a transaction of the stream did not become visible in the database');
    } catch (error) {
      const { kind } = classifyDatabaseError(error);
      if (kind === 'query_cancelled') return { state: 'cancelled', entry: at };
      if (isTransient(kind)) return error as Error;
      throw error;
    }
  }
}

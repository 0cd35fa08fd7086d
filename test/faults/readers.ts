// Owns the test's end of the subscribers that run in a process of their own (reader-process.ts).

import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { until } from '../rig/until.ts';
import type { ReaderReport, ReaderWish } from './raw-reader.ts';
import type { ReaderAnswer, ReaderOrder } from './reader-process.ts';

export class Readers {
  readonly #child: ChildProcess;
  #queue: Promise<unknown> = Promise.resolve();

  constructor() {
    this.#child = fork(new URL('reader-process.ts', import.meta.url), { execArgv: [] });
  }

  /** Connects and subscribes one reader a name. */
  async subscribe(
    names: readonly string[],
    to: ReaderWish & { port: number; token: string; channel: string },
  ): Promise<void> {
    await this.#ask({ kind: 'subscribe', names, ...to });
  }

  /** Leaves the connection of each, and comes back behind the last message that it had. */
  async again(names: readonly string[]): Promise<void> {
    for (const name of names) await this.#ask({ kind: 'again', name });
  }

  async stall(name: string): Promise<void> {
    await this.#ask({ kind: 'stall', name });
  }

  async resume(name: string): Promise<void> {
    await this.#ask({ kind: 'resume', name });
  }

  async reports(): Promise<readonly ReaderReport[]> {
    const answer = await this.#ask({ kind: 'report' });
    return answer.kind === 'reports' ? answer.reports : [];
  }

  /** Waits until every reader in `names` has `messages` messages or ended; returns the reports of all. */
  async have(names: readonly string[], messages: number, timeoutMs: number): Promise<readonly ReaderReport[]> {
    let latest: readonly ReaderReport[] = [];
    const lacking = (): readonly ReaderReport[] =>
      latest.filter(({ name, isEnded, ...report }) => names.includes(name) && !isEnded && report.messages < messages);
    await until(
      async () => {
        latest = await this.reports();
        return lacking().length === 0;
      },
      { what: `${messages} messages at every reader`, timeoutMs, everyMs: 50 },
    ).catch((error: Error) => {
      throw new Error(`${error.message}: ${JSON.stringify(lacking().slice(0, 10))}`);
    });
    return latest;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null) return;
    const gone = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await gone;
  }

  // One order at a time, so that an answer belongs to the order before it.
  #ask(order: ReaderOrder): Promise<ReaderAnswer> {
    const asked = this.#queue.then(async () => {
      const answered = once(this.#child, 'message') as Promise<[ReaderAnswer]>;
      this.#child.send(order);
      const [answer] = await answered;
      if (answer.kind === 'failed') throw new Error(answer.message);
      return answer;
    });
    this.#queue = asked.catch(() => undefined);
    return asked;
  }
}

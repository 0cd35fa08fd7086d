// Owns a process of its own for what is measured or what measures: started from a script, called over IPC,
// asked for its CPU time, and ended. The other side of the calls is processes/answer-calls.ts.

import { type ChildProcess, fork } from 'node:child_process';
import { join } from 'node:path';

export type Usage = {
  /** User and system time since the process began. */
  readonly cpuMicros: number;
  readonly peakRssBytes: number;
};

export type Call = { readonly id: number; readonly name: string; readonly argument: unknown };
export type Answer = { readonly id: number; readonly value?: unknown; readonly failure?: string };

export type StartOptions = {
  /** Where it leaves a CPU profile when it ends; none without. */
  readonly profileDir?: string | undefined;
};

/** What takes longer than this has got stuck: a bench that hangs says nothing. */
const CALL_TIMEOUT_MS = 120_000;

type Waiting = { readonly resolve: (value: unknown) => void; readonly reject: (error: Error) => void };

export class MeasuredProcess implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #script: string;
  readonly #waiting = new Map<number, Waiting>();
  readonly #ended: Promise<void>;
  #nextId = 1;

  /** Starts `script`, a path below bench/. */
  static start(script: string, options: StartOptions = {}): MeasuredProcess {
    return new MeasuredProcess(script, options);
  }

  private constructor(script: string, { profileDir }: StartOptions) {
    const profile = profileDir === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profileDir}`];
    this.#script = script;
    this.#child = fork(join(import.meta.dirname, script), { serialization: 'advanced', execArgv: profile });
    this.#child.on('message', (answer: Answer) => this.#settle(answer));
    this.#ended = new Promise((resolve) => this.#child.once('exit', () => resolve()));
    this.#ended.then(() => this.#abandon());
  }

  /** Calls a handler of the script. Rejects with what it threw, or when the process ends. */
  call<Result = void>(name: string, argument?: unknown): Promise<Result> {
    const id = this.#nextId++;
    return new Promise<Result>((resolve, reject) => {
      if (!this.#child.connected) return reject(new Error(`${this.#script} has ended`));
      const stuck = setTimeout(() => this.#giveUp(id, name), CALL_TIMEOUT_MS);
      const settle =
        <T>(end: (value: T) => void) =>
        (value: T): void => {
          clearTimeout(stuck);
          end(value);
        };
      this.#waiting.set(id, { resolve: settle((value) => resolve(value as Result)), reject: settle(reject) });
      this.#child.send({ id, name, argument } satisfies Call);
    });
  }

  usage(): Promise<Usage> {
    return this.call<Usage>('usage');
  }

  /** Lets it end by itself: handlers of `stop` release what they opened. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.connected) {
      await this.call('stop').catch(() => undefined);
      if (this.#child.connected) this.#child.disconnect();
    }
    await this.#ended;
  }

  #settle({ id, value, failure }: Answer): void {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (failure === undefined) waiting?.resolve(value);
    else waiting?.reject(new Error(`${this.#script}: ${failure}`));
  }

  #giveUp(id: number, name: string): void {
    this.#settle({ id, failure: `"${name}" got stuck for ${CALL_TIMEOUT_MS / 1000} s` });
    this.#child.kill();
  }

  #abandon(): void {
    for (const { reject } of this.#waiting.values()) reject(new Error(`${this.#script} ended`));
    this.#waiting.clear();
  }
}

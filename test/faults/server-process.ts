// Owns a Rowcast server as a process of its own, started as `npm start` does it, for tests that kill it, stop
// it by signals or measure its memory. What it says is kept: log lines (JSON) and the words for a person.

import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import type { SecretConfig } from '../../server/config/stored-secret.ts';
import { testConfig } from '../app/test-app.ts';
import type { TestDatabase } from '../rig/postgres.ts';
import { until } from '../rig/until.ts';
import { FAILPOINTS, type FailpointName, type FailpointOrder } from './failpoints.ts';
import type { Plant } from './plant.ts';

export type ServerLog = { readonly level: number; readonly msg: string; readonly [field: string]: unknown };

export type ServerExit = { readonly code: number | null; readonly signal: NodeJS.Signals | null };

const QUICK: Readonly<Record<string, string>> = {
  PORT: '0',
  ROWCAST_SHUTDOWN_SPREAD: '0',
  ROWCAST_RATE_LIMIT: 'off',
  ROWCAST_CATALOGUE_POLL: '100ms',
};

export class ServerProcess {
  readonly #child: ChildProcess;
  readonly #exited: Promise<ServerExit>;
  #stdout = '';
  #stderr = '';
  exit: ServerExit | undefined;

  /** Starts `node server/main.ts` with `env` and nothing else of this shell's settings; with a bug if one is given. */
  static spawn(env: Readonly<Record<string, string>>, plant?: Plant | undefined): ServerProcess {
    return new ServerProcess(env, plant === undefined ? [] : [plant], []);
  }

  /** The same, with failpoints that `arm` sets. */
  static spawnWithFailpoints(env: Readonly<Record<string, string>>, plants: readonly Plant[] = []): ServerProcess {
    return new ServerProcess(env, [...plants, ...Object.values(FAILPOINTS)], ['./test/faults/failpoint-agent.ts']);
  }

  private constructor(env: Readonly<Record<string, string>>, plants: readonly Plant[], agents: readonly string[]) {
    const { PATH, HOME } = process.env;
    const planted = plants.length === 0 ? {} : { ROWCAST_TEST_PLANT: JSON.stringify(plants) };
    const preloads = plants.length === 0 ? agents : ['./test/faults/plant.ts', ...agents];
    const imports = preloads.flatMap((path) => ['--import', path]);
    this.#child = spawn(process.execPath, [...imports, 'server/main.ts'], {
      env: { PATH, HOME, NO_COLOR: '1', ...QUICK, ...env, ...planted },
      stdio: ['ignore', 'pipe', 'pipe', ...(agents.length === 0 ? [] : (['ipc'] as const))],
    });
    this.#child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.#stdout += text;
    });
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr += text;
    });
    this.#exited = new Promise((resolve) => {
      this.#child.once('close', (code, signal) => {
        this.exit = { code, signal };
        resolve(this.exit);
      });
    });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** What it wrote for people. */
  get words(): string {
    return (
      this.#stdout +
      this.#stderr
        .split('\n')
        .filter((line) => !line.startsWith('{'))
        .join('\n')
    );
  }

  get logs(): ServerLog[] {
    return this.#stderr
      .split('\n')
      .filter((line) => line.startsWith('{') && line.endsWith('}'))
      .map((line) => JSON.parse(line) as ServerLog);
  }

  /** Waits until it greets: the stream flows, or it is a standby. Returns its port. */
  async greeted(timeoutMs = 20_000): Promise<number> {
    await until(() => this.#greeting() !== null || this.exit !== undefined, { what: 'the server to greet', timeoutMs });
    const port = this.#greeting()?.[1];
    if (port === undefined) throw new Error(`the server ended with ${this.exit?.code}: ${this.#tail()}`);
    return Number(port);
  }

  get isGreeted(): boolean {
    return this.#stdout.includes('Rowcast is ready');
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** It kills itself when it passes `name` for the nth time from now on; without a name never. Resolves when it knows. */
  async arm(name?: FailpointName | undefined, nth = 1): Promise<void> {
    // It has died, and its end is not known yet.
    if (!this.#child.connected) return void (await this.#exited);
    const heard = new Promise((resolve) => this.#child.once('message', resolve));
    this.#child.send({ name, nth } satisfies FailpointOrder, () => undefined);
    await Promise.race([heard, this.#exited]);
  }

  /** Its end, whenever it comes. */
  get whenEnded(): Promise<ServerExit> {
    return this.#exited;
  }

  /** Waits for its end. */
  async ended(timeoutMs = 20_000): Promise<ServerExit> {
    await until(() => this.exit !== undefined, { what: `the server ${this.pid} to end: ${this.#tail()}`, timeoutMs });
    return this.#exited;
  }

  /** Kills it and waits until it is gone. */
  async killed(): Promise<void> {
    this.kill('SIGKILL');
    await this.ended();
  }

  /** Stops it as an operator does. */
  async stop(): Promise<ServerExit> {
    this.kill('SIGTERM');
    return this.ended();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.exit === undefined) await this.killed();
  }

  /** Resident memory now and at its peak, in MiB; undefined where the system does not tell. */
  memory(): { readonly nowMiB: number; readonly peakMiB: number } | undefined {
    try {
      const text = readFileSync(`/proc/${this.pid}/status`, 'utf8');
      const kib = (name: string): number => Number(new RegExp(`${name}:\\s+(\\d+) kB`).exec(text)?.[1]);
      return { nowMiB: Math.round(kib('VmRSS') / 1024), peakMiB: Math.round(kib('VmHWM') / 1024) };
    } catch {
      return undefined;
    }
  }

  #greeting(): RegExpExecArray | null {
    return /ws:\/\/127\.0\.0\.1:(\d+)\/realtime/.exec(this.#stdout);
  }

  #tail(): string {
    return this.#stderr.slice(-2_000);
  }
}

/** The environment of a server over `database`, and the configuration that mints its tokens. */
export function serverEnvironment(
  database: Pick<TestDatabase, 'url' | 'slot'>,
  more: Readonly<Record<string, string>> = {},
  jwtSecret?: string | undefined,
): { readonly env: Record<string, string>; readonly config: SecretConfig } {
  const config = testConfig(database as TestDatabase, jwtSecret === undefined ? {} : { ROWCAST_JWT_SECRET: jwtSecret });
  const secret = config.auth.jwtSecrets[0] ?? '';
  return {
    env: { DATABASE_URL: database.url, ROWCAST_SLOT: database.slot, ROWCAST_JWT_SECRET: secret, ...more },
    config,
  };
}

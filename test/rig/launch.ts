// Owns processes of the project that run while a test looks at them: the server, a tail. Every one of them
// is ended by `endLaunched`, which a test file calls after each test.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { until } from './until.ts';

export type Launched = {
  readonly child: ChildProcess;
  /** Standard output and standard error as they came. */
  output: string;
  /** The exit code; null after a signal. */
  readonly exit: Promise<number | null>;
};

const launched = new Set<Launched>();

/** Runs a file of the project in a process group of its own, without any settings but `env`. */
export function launch(args: readonly string[], env: Readonly<Record<string, string>>): Launched {
  const child = spawn(process.execPath, args, { env: { PATH: process.env.PATH, ...env }, detached: true });
  const exit = once(child, 'exit').then(([code]) => code as number | null);
  const run: Launched = { child, output: '', exit };
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => (run.output += text));
  launched.add(run);
  return run;
}

/** Runs the server and waits until changes flow; throws with its output if it ends instead. */
export async function launchServer(env: Readonly<Record<string, string>>): Promise<Launched> {
  const server = launch(['server/main.ts'], { ROWCAST_SHUTDOWN_SPREAD: '10ms', ...env });
  const settled = () => server.output.includes('Rowcast is ready') || server.child.exitCode !== null;
  await until(settled, { what: 'the server to be ready', timeoutMs: 15_000 });
  if (!server.output.includes('Rowcast is ready')) throw new Error(`the server did not start: ${server.output}`);
  return server;
}

/** The port on which a launched server says that it listens. */
export function portOf(server: Launched): number {
  return Number(/ws:\/\/[^\s/]*:(\d+)\//.exec(server.output)?.[1]);
}

/** Ends everything that is still running, and waits for it. */
export async function endLaunched(): Promise<void> {
  for (const { child, exit } of launched) {
    child.kill('SIGTERM');
    await exit;
  }
  launched.clear();
}

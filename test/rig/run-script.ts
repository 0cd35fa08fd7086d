// Owns running one of the project's commands as a user would, in a process of its own.

import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';

export type ScriptRun = { readonly code: number | null; readonly stdout: string; readonly stderr: string };

export type RunScriptOptions = {
  readonly args?: readonly string[] | undefined;
  readonly env?: Readonly<Record<string, string>> | undefined;
  readonly input?: string | undefined;
};

/** Runs `node <path>` (from the root of the project) without any settings but `env`; waits for its end. */
export async function runScript(path: string, options: RunScriptOptions = {}): Promise<ScriptRun> {
  const child = spawn(process.execPath, [path, ...(options.args ?? [])], {
    env: { PATH: process.env.PATH, HOME: process.env.HOME, NO_COLOR: '1', ...options.env },
  });
  child.stdin.end(options.input ?? '');
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  const [stdout, stderr, code] = await Promise.all([text(child.stdout), text(child.stderr), ended]);
  return { code, stdout, stderr };
}

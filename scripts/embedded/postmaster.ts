// Owns what can be known about a running PostgreSQL from the outside: its lock file postmaster.pid, and
// whether the process named there is alive and a PostgreSQL. A pid may have been given to somebody else
// since (the usual case in a container that was killed and started again), and a killed one may linger as
// a zombie where pid 1 does not reap. Source: https://www.postgresql.org/docs/18/storage-file-layout.html

import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

export type Postmaster = { readonly pid: number; readonly port: number };

/** The lock file of the data folder: none, of a live PostgreSQL, or left behind by one that is gone. */
export type LockFile =
  | { readonly state: 'none' }
  | { readonly state: 'alive'; readonly postmaster: Postmaster }
  | { readonly state: 'stale'; readonly postmaster: Postmaster };

export const LOCK_FILE = 'postmaster.pid';

/** Reads the lock file of a data folder. */
export async function readLockFile(dataDir: string): Promise<LockFile> {
  const text = await readFile(join(dataDir, LOCK_FILE), 'utf8').catch(() => '');
  const lines = text.split('\n');
  const postmaster = { pid: Math.abs(Number.parseInt(lines[0] ?? '', 10)), port: Number.parseInt(lines[3] ?? '', 10) };
  if (!(postmaster.pid > 0)) return { state: 'none' };
  return { state: isAlive(postmaster.pid) && looksLikePostgres(postmaster.pid) ? 'alive' : 'stale', postmaster };
}

/** Whether a process of that id exists and is no zombie. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
  return processStat(pid)?.state !== 'Z';
}

/** A text that differs between two processes that had the same id one after the other, where the system tells. */
export function processMark(pid: number): string {
  return `${pid}:${processStat(pid)?.startedAt ?? ''}`;
}

function looksLikePostgres(pid: number): boolean {
  const stat = processStat(pid);
  return stat === undefined || stat.command.startsWith('postgres');
}

/** From /proc on Linux; undefined elsewhere. The command may itself hold spaces and parentheses. */
function processStat(pid: number): { command: string; state: string; startedAt: string } | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const end = text.lastIndexOf(')');
    const fields = text.slice(end + 2).split(' ');
    return { command: text.slice(text.indexOf('(') + 1, end), state: fields[0] ?? '', startedAt: fields[19] ?? '' };
  } catch {
    return undefined;
  }
}

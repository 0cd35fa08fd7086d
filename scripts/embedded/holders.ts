// Owns who uses an embedded database: one file per user of it under `holders/`, and one lock that makes
// starting and stopping exclusive. The last one out stops the database; files of dead processes do not
// count. One server at most, any number of tools beside it.

import { link, mkdir, readdir, readFile, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { EmbeddedError } from './embedded-error.ts';
import { isAlive, processMark } from './postmaster.ts';

export type HolderKind = 'server' | 'tool';
/** `name` tells apart the users within one process. */
export type Holder = { readonly name: string; readonly kind: HolderKind; readonly pid: number };

const LOCK_WAIT_MS = 60_000;
const LOCK_POLL_MS = 25;
let made = 0;

/** Writes down that this process uses the database. */
export async function addHolder(stateDir: string, kind: HolderKind): Promise<Holder> {
  made += 1;
  const holder: Holder = { name: `${process.pid}-${made}`, kind, pid: process.pid };
  await mkdir(join(stateDir, 'holders'), { recursive: true });
  await writeFile(join(stateDir, 'holders', holder.name), `${kind} ${processMark(process.pid)}`);
  return holder;
}

/** Takes a holder off the list. */
export async function removeHolder(stateDir: string, holder: Holder): Promise<void> {
  await unlink(join(stateDir, 'holders', holder.name)).catch(() => undefined);
}

/** All that use the database and are alive; what dead ones left is removed. */
export async function liveHolders(stateDir: string): Promise<Holder[]> {
  const folder = join(stateDir, 'holders');
  const holders: Holder[] = [];
  for (const name of await readdir(folder).catch(() => [])) {
    const pid = Number.parseInt(name, 10);
    const [kind, mark] = (await readFile(join(folder, name), 'utf8').catch(() => '')).split(' ');
    const alive = isAlive(pid) && mark === processMark(pid);
    if (!alive) await unlink(join(folder, name)).catch(() => undefined);
    else holders.push({ name, kind: kind === 'server' ? 'server' : 'tool', pid });
  }
  return holders;
}

/** Runs `work` while nobody else starts or stops this database. The lock of a dead process is taken over. */
export async function withLock<T>(stateDir: string, work: () => Promise<T>): Promise<T> {
  const lock = join(stateDir, 'lock');
  await takeLock(stateDir, lock);
  try {
    return await work();
  } finally {
    await unlink(lock).catch(() => undefined);
  }
}

async function takeLock(stateDir: string, lock: string): Promise<void> {
  made += 1;
  const mine = join(stateDir, `lock.${process.pid}-${made}`);
  await writeFile(mine, processMark(process.pid));
  try {
    await waitForLock(mine, lock);
  } finally {
    await unlink(mine);
  }
}

/** A lock is a hard link to a file that already names its owner, so it never exists without one. */
async function waitForLock(mine: string, lock: string): Promise<void> {
  const deadline = performance.now() + LOCK_WAIT_MS;
  while (!(await linked(mine, lock))) {
    const mark = await readFile(lock, 'utf8').catch(() => '');
    const pid = Number.parseInt(mark, 10);
    if (mark !== '' && !(isAlive(pid) && mark === processMark(pid))) await unlink(lock).catch(() => undefined);
    else await sleep(LOCK_POLL_MS);
    if (performance.now() > deadline) {
      throw new EmbeddedError(
        `process ${pid} has been starting or stopping the embedded database for ${LOCK_WAIT_MS / 1000} s`,
        `end that process, or remove ${lock}`,
      );
    }
  }
}

async function linked(mine: string, lock: string): Promise<boolean> {
  try {
    await link(mine, lock);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

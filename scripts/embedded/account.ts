// Owns the question under which account PostgreSQL runs, for it refuses root. An ordinary user runs it as
// itself. Root hands it to an existing account that reaches both folders, else to a user namespace in which
// root looks like somebody else, else copies the programs to where that account reaches them.

import { execFile } from 'node:child_process';
import { chmod, chown, cp, lstat, mkdtemp, readFile, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type Binaries, programPath } from './binaries.ts';
import { EmbeddedError } from './embedded-error.ts';

/** Who runs the programs. `uid` and `gid` own the data folder, as the server process sees them. */
export type Account =
  | { readonly kind: 'self' }
  | { readonly kind: 'setuid'; readonly uid: number; readonly gid: number }
  | { readonly kind: 'namespace' };

export type Finished = { readonly code: number; readonly stdout: string; readonly stderr: string };

/** The programs, and the account under which they run. */
export type Runner = { readonly binaries: Binaries; readonly account: Account };

const SYSTEM_ACCOUNTS = ['postgres', 'nobody'];
const COPY_PARENT = '/var/tmp';
const NAMESPACE_ARGS = ['--user', '--map-user=1000', '--map-group=1000', '--'];

/**
 * Runs `file` under `account` and waits for its end; a program that cannot be started ends with code 127.
 * A daemon that it leaves behind must not hold its stdout or stderr.
 */
export function runAs(account: Account, file: string, args: readonly string[]): Promise<Finished> {
  const inNamespace = account.kind === 'namespace';
  const command = inNamespace ? 'unshare' : file;
  const commandArgs = inNamespace ? [...NAMESPACE_ARGS, file, ...args] : [...args];
  const identity = account.kind === 'setuid' ? { uid: account.uid, gid: account.gid } : {};
  const env = { PATH: '/usr/local/bin:/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' };
  return new Promise((resolve) => {
    execFile(command, commandArgs, { ...identity, env, cwd: '/' }, (error, stdout, stderr) => {
      const code = error === null ? 0 : typeof error.code === 'number' ? error.code : 127;
      resolve({ code, stdout, stderr: stderr === '' && error !== null ? error.message : stderr });
    });
  });
}

/**
 * Chooses who runs PostgreSQL with its data under `stateDir` (which exists). As root the folder is handed to
 * that account. Throws an EmbeddedError with the ways out when nobody can.
 */
export async function chooseRunner(binaries: Binaries, stateDir: string): Promise<Runner> {
  if (process.getuid?.() !== 0) return { binaries, account: { kind: 'self' } };
  const candidates = await systemAccounts();
  for (const account of candidates) {
    if (await reaches(account, binaries, stateDir)) return handOver(binaries, account, stateDir);
  }
  const namespace: Account = { kind: 'namespace' };
  if ((await runAs(namespace, programPath(binaries, 'postgres'), ['--version'])).code === 0) {
    return handOver(binaries, namespace, stateDir);
  }
  for (const account of candidates) {
    const copied = await copyBinaries(binaries);
    if (await reaches(account, copied, stateDir)) return handOver(copied, account, stateDir);
  }
  throw new EmbeddedError(
    `PostgreSQL refuses to run as root, and no other account reaches ${stateDir}`,
    'run as an ordinary user, or set ROWCAST_DATA_DIR to a folder that every account may traverse ' +
      '(for example /var/lib/rowcast), or set DATABASE_URL to a PostgreSQL of your own',
  );
}

async function systemAccounts(): Promise<Extract<Account, { kind: 'setuid' }>[]> {
  const lines = (await readFile('/etc/passwd', 'utf8').catch(() => '')).split('\n').map((line) => line.split(':'));
  return SYSTEM_ACCOUNTS.flatMap((name) => {
    const fields = lines.find((line) => line[0] === name);
    const uid = Number(fields?.[2]);
    return fields && uid > 0 ? [{ kind: 'setuid' as const, uid, gid: Number(fields[3]) }] : [];
  });
}

/** Whether `account` can run the programs and traverse the path to its folder, which it will own. */
async function reaches(account: Account, binaries: Binaries, stateDir: string): Promise<boolean> {
  if ((await runAs(account, '/bin/sh', ['-c', 'test -x "$1"', 'sh', dirname(stateDir)])).code !== 0) return false;
  return (await runAs(account, programPath(binaries, 'postgres'), ['--version'])).code === 0;
}

/** Gives `stateDir` to `account`; a folder left by another choice of account is given over as a whole. */
async function handOver(binaries: Binaries, account: Account, stateDir: string): Promise<Runner> {
  const { uid, gid } = ownerOf(account);
  if ((await stat(stateDir)).uid !== uid) {
    const self: Account = { kind: 'self' };
    const changed = await runAs(self, 'chown', ['-R', `${uid}:${gid}`, stateDir]);
    if (changed.code !== 0) throw new Error(`chown of ${stateDir} failed: ${changed.stderr}`);
  }
  return { binaries, account };
}

/** The owner of everything under the state folder. In the namespace root's files look like its own. */
export function ownerOf(account: Account): { readonly uid: number; readonly gid: number } {
  if (account.kind === 'setuid') return { uid: account.uid, gid: account.gid };
  return { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
}

/** Gives one new file to `account`. */
export async function giveFile(account: Account, path: string): Promise<void> {
  if (account.kind !== 'setuid') return;
  await chown(path, account.uid, account.gid);
}

/** A copy of the programs that every account reaches; made once, owned by root, moved into place as a whole. */
async function copyBinaries(binaries: Binaries): Promise<Binaries> {
  const version = (await runAs({ kind: 'self' }, programPath(binaries, 'postgres'), ['--version'])).stdout;
  const nativeDir = join(COPY_PARENT, `rowcast-postgres-${version.replace(/[^0-9.]/g, '')}`);
  if (await isOurs(nativeDir)) return { ...binaries, nativeDir };
  const fresh = await mkdtemp(`${nativeDir}.`);
  await cp(binaries.nativeDir, fresh, { recursive: true, verbatimSymlinks: true });
  await chmod(fresh, 0o755);
  await rename(fresh, nativeDir).catch(() => rm(fresh, { recursive: true }));
  // Everybody may write beside it: what somebody else put there under this name is not run.
  if (await isOurs(nativeDir)) return { ...binaries, nativeDir };
  throw new EmbeddedError(`${nativeDir} is in the way and does not belong to root`, 'remove it');
}

async function isOurs(path: string): Promise<boolean> {
  const found = await lstat(path).catch(() => undefined);
  return found?.isDirectory() === true && found.uid === 0;
}

// Owns the files of one embedded database: `<stateDir>/data` (made by initdb, moved into place as a whole
// together with its password), the settings written anew at each start, the log. Starts nothing.

import { randomBytes } from 'node:crypto';
import { appendFile, chmod, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { giveFile, type Runner, runAs } from './account.ts';
import { programPath } from './binaries.ts';
import { EmbeddedError } from './embedded-error.ts';

/** What the server must know to log in: kept inside the data folder, readable by its owner alone. */
export type Secrets = { readonly password: string; readonly port?: number | undefined };

export type PostgresSettings = Readonly<Record<string, string | number | boolean>>;

export const SUPERUSER = 'postgres';
const SECRETS_FILE = 'rowcast.json';
const SETTINGS_FILE = 'rowcast.conf';
const MAX_LOG_BYTES = 16 * 1024 * 1024;

export const dataDirOf = (stateDir: string): string => join(stateDir, 'data');
export const logFileOf = (stateDir: string): string => join(stateDir, 'server.log');

/** Makes the data folder unless there is one. Throws an EmbeddedError if what lies there is not ours. */
export async function ensureCluster(runner: Runner, stateDir: string): Promise<void> {
  const dataDir = dataDirOf(stateDir);
  const entries = await readdir(dataDir).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw unreadable(dataDir, error);
  });
  if (entries === undefined) return initialise(runner, stateDir);
  const found = (await readFile(join(dataDir, 'PG_VERSION'), 'utf8').catch(() => '')).trim();
  if (found !== String(runner.binaries.version) || !entries.includes(SECRETS_FILE)) {
    throw new EmbeddedError(
      `${dataDir} holds ${found === '' ? 'files that are no database' : `a PostgreSQL ${found} of another program`}`,
      'move it away, or set ROWCAST_DATA_DIR to another folder',
    );
  }
}

async function initialise(runner: Runner, stateDir: string): Promise<void> {
  await removeAbandoned(stateDir);
  const fresh = `${dataDirOf(stateDir)}.${process.pid}`;
  const password = randomBytes(24).toString('base64url');
  const passwordFile = join(stateDir, `password.${process.pid}`);
  await writePrivate(runner, passwordFile, password);
  const made = await runAs(runner.account, programPath(runner.binaries, 'initdb'), [
    ...['--pgdata', fresh, '--username', SUPERUSER, '--pwfile', passwordFile],
    ...['--auth', 'scram-sha-256', '--encoding', 'UTF8', '--no-instructions', ...localeArgs(runner.binaries.version)],
  ]);
  await rm(passwordFile, { force: true });
  if (made.code !== 0) {
    await rm(fresh, { recursive: true, force: true });
    throw new EmbeddedError(
      `initdb failed: ${made.stderr.trim() || made.stdout.trim()}`,
      'check that the disk is not full and the folder may be written, or set DATABASE_URL to a PostgreSQL of your own',
    );
  }
  await appendFile(join(fresh, 'postgresql.conf'), `\ninclude = '${SETTINGS_FILE}'\n`);
  await writePrivate(runner, join(fresh, SECRETS_FILE), JSON.stringify({ password } satisfies Secrets));
  await rename(fresh, dataDirOf(stateDir));
}

/** The same order of text on every host: by code point, and where the version can, with Unicode's case rules. */
function localeArgs(version: number): string[] {
  return version >= 17
    ? ['--locale', 'C', '--locale-provider', 'builtin', '--builtin-locale', 'C.UTF-8']
    : ['--locale', 'C'];
}

async function removeAbandoned(stateDir: string): Promise<void> {
  for (const name of await readdir(stateDir)) {
    if (/^(data|password)\.\d+$/.test(name)) await rm(join(stateDir, name), { recursive: true, force: true });
  }
}

/** Reads the password and the remembered port. */
export async function readSecrets(stateDir: string): Promise<Secrets> {
  const path = join(dataDirOf(stateDir), SECRETS_FILE);
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw unreadable(path, error);
  });
  return JSON.parse(text) as Secrets;
}

/** Keeps the port for the next start. */
export async function rememberPort(runner: Runner, stateDir: string, port: number): Promise<void> {
  const { password } = await readSecrets(stateDir);
  const path = join(dataDirOf(stateDir), SECRETS_FILE);
  await writePrivate(runner, `${path}.new`, JSON.stringify({ password, port } satisfies Secrets));
  await rename(`${path}.new`, path);
}

/** Writes the settings for the next start; they override postgresql.conf. */
export async function writeSettings(runner: Runner, stateDir: string, settings: PostgresSettings): Promise<void> {
  const lines = Object.entries(settings).map(([name, value]) => `${name} = '${String(value).replaceAll("'", "''")}'\n`);
  await writePrivate(runner, join(dataDirOf(stateDir), SETTINGS_FILE), `# Written at each start.\n${lines.join('')}`);
}

/** Keeps one older log beside the present one, so that it cannot grow for ever. */
export async function rotateLog(stateDir: string): Promise<void> {
  const path = logFileOf(stateDir);
  const size = (await stat(path).catch(() => undefined))?.size ?? 0;
  if (size > MAX_LOG_BYTES) await rename(path, `${path}.1`);
}

async function writePrivate(runner: Runner, path: string, text: string): Promise<void> {
  await writeFile(path, text, { mode: 0o600 });
  await chmod(path, 0o600);
  await giveFile(runner.account, path);
}

function unreadable(path: string, cause: NodeJS.ErrnoException): Error {
  if (cause.code !== 'EACCES' && cause.code !== 'EPERM') return cause;
  return new EmbeddedError(
    `${path} belongs to another account and cannot be read`,
    'run as the account that made it, or set ROWCAST_DATA_DIR to another folder',
    { cause },
  );
}

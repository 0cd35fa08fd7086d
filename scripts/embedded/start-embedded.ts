// Owns starting, adopting and stopping the embedded PostgreSQL. It runs as a daemon in a process group of
// its own, so Ctrl-C does not reach it, and a kill of its parent leaves it running for the next start to
// adopt. Who starts it stops it, after closing its replication stream (else a fast shutdown waits for it).

import { chmod, mkdir, open, stat, unlink } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'pg';
import { chooseRunner, type Runner, runAs } from './account.ts';
import { type EmbeddedVersion, findBinaries, programPath } from './binaries.ts';
import {
  dataDirOf,
  ensureCluster,
  logFileOf,
  type PostgresSettings,
  readSecrets,
  rememberPort,
  rotateLog,
  SUPERUSER,
  writeSettings,
} from './cluster-folder.ts';
import { EmbeddedError } from './embedded-error.ts';
import { addHolder, type Holder, type HolderKind, liveHolders, removeHolder, withLock } from './holders.ts';
import { LOCK_FILE, type Postmaster, readLockFile } from './postmaster.ts';

export type EmbeddedOptions = {
  /** The folder that holds everything; the database lies in `postgres<version>` below it. */
  readonly dataDir: string;
  readonly version?: EmbeddedVersion | undefined;
  /** Added to, and overriding, the settings that Rowcast needs. Take effect at a start, not on adoption. */
  readonly settings?: PostgresSettings | undefined;
  /** Default: the port of the last start, else a free one. */
  readonly port?: number | undefined;
  /** A second `server` on one folder is refused; tools come and go. Default `tool`. */
  readonly holder?: HolderKind | undefined;
};

export interface EmbeddedDatabase {
  /** Superuser login, database `postgres`. Secret: holds the password. */
  readonly url: string;
  readonly port: number;
  readonly version: EmbeddedVersion;
  /** True if it was running already. */
  readonly adopted: boolean;
  /** The folder of the cluster (PGDATA), and its log. */
  readonly clusterDir: string;
  readonly logFile: string;
  /** The process id of the running postmaster; undefined while there is none. */
  pid(): Promise<number | undefined>;
  /** Starts it again on the same port if it is not running. True if it had to. */
  revive(): Promise<boolean>;
  /** Stops it, unless other processes use it. Close all connections first. Again: nothing. */
  stop(): Promise<void>;
}

type Place = { readonly runner: Runner; readonly stateDir: string };

const START_WAIT_MS = 15_000;
const RETRY_MS = 200;
/** How long a lock file of a dead process is left to PostgreSQL's own judgement. */
const STALE_LOCK_MS = 2_000;
const STOP_WAIT_S = 10;
const BASE_SETTINGS: PostgresSettings = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  wal_level: 'logical',
  max_replication_slots: 20,
  max_wal_senders: 20,
  log_checkpoints: false,
  timezone: 'UTC',
};

/**
 * Makes, starts or adopts the embedded database under `dataDir`. Two processes may call this at once.
 * Throws an EmbeddedError that says what is in the way and what to do about it.
 */
export async function startEmbedded(options: EmbeddedOptions): Promise<EmbeddedDatabase> {
  const version = options.version ?? 18;
  const stateDir = join(resolve(options.dataDir), `postgres${version}`);
  await makeStateDir(resolve(options.dataDir), stateDir);
  const runner = await chooseRunner(findBinaries(version), stateDir);
  const place: Place = { runner, stateDir };
  return withLock(stateDir, async () => {
    const kind = options.holder ?? 'tool';
    if (kind === 'server') await refuseSecondServer(options.dataDir, stateDir);
    await ensureCluster(runner, stateDir);
    const running = await adopt(place);
    const postmaster = running ?? (await start(place, options));
    const holder = await addHolder(stateDir, kind);
    return opened(place, options, holder, postmaster, running !== undefined);
  });
}

async function makeStateDir(dataDir: string, stateDir: string): Promise<void> {
  try {
    await mkdir(stateDir, { recursive: true, mode: 0o700 });
    // Root hands the database to another account, which has to pass through; what lies inside stays private.
    if (process.getuid?.() === 0) await chmod(dataDir, ((await stat(dataDir)).mode & 0o777) | 0o111);
  } catch (cause) {
    throw new EmbeddedError(
      `the data folder ${dataDir} cannot be made or changed: ${(cause as Error).message}`,
      'set ROWCAST_DATA_DIR to a folder that may be written',
      { cause },
    );
  }
}

async function refuseSecondServer(dataDir: string, stateDir: string): Promise<void> {
  const server = (await liveHolders(stateDir)).find((holder) => holder.kind === 'server');
  if (!server) return;
  throw new EmbeddedError(
    `the data folder ${dataDir} is in use by another Rowcast server (process ${server.pid})`,
    'stop that one, or set ROWCAST_DATA_DIR and PORT to run a second one beside it',
  );
}

async function opened(
  place: Place,
  options: EmbeddedOptions,
  holder: Holder,
  postmaster: Postmaster,
  adopted: boolean,
): Promise<EmbeddedDatabase> {
  const { runner, stateDir } = place;
  const { port } = postmaster;
  let open = true;
  return {
    url: urlOf((await readSecrets(stateDir)).password, port),
    port,
    version: runner.binaries.version,
    adopted,
    clusterDir: dataDirOf(stateDir),
    logFile: logFileOf(stateDir),
    pid: async () => (await runningPostmaster(stateDir))?.pid,
    revive: () =>
      withLock(stateDir, async () => {
        if (!open || (await runningPostmaster(stateDir))) return false;
        await start(place, { ...options, port });
        return true;
      }),
    stop: async () => {
      if (!open) return;
      open = false;
      await withLock(stateDir, () => release(place, holder));
    },
  };
}

async function release(place: Place, holder: Holder): Promise<void> {
  await removeHolder(place.stateDir, holder);
  if ((await liveHolders(place.stateDir)).length > 0) return;
  if (!(await runningPostmaster(place.stateDir))) return;
  const fast = await pgCtl(place, ['stop', '-m', 'fast', '-w', '-t', String(STOP_WAIT_S)]);
  if (fast.code === 0) return;
  // A connection that does not go away holds a fast stop up for ever; this loses nothing that was committed.
  const immediate = await pgCtl(place, ['stop', '-m', 'immediate', '-w', '-t', String(STOP_WAIT_S)]);
  if (immediate.code !== 0 && (await runningPostmaster(place.stateDir))) {
    throw new Error(`the embedded database did not stop: ${fast.stderr.trim()} ${immediate.stderr.trim()}`);
  }
}

async function runningPostmaster(stateDir: string): Promise<Postmaster | undefined> {
  const lock = await readLockFile(dataDirOf(stateDir));
  return lock.state === 'alive' ? lock.postmaster : undefined;
}

/** The running database, once it answers our password; undefined if there is none. */
async function adopt(place: Place): Promise<Postmaster | undefined> {
  const { password } = await readSecrets(place.stateDir);
  const deadline = performance.now() + START_WAIT_MS;
  for (;;) {
    const postmaster = await runningPostmaster(place.stateDir);
    if (!postmaster) return undefined;
    const answer = Number.isNaN(postmaster.port) ? 'starting' : await ask(password, postmaster.port, place.stateDir);
    if (answer === 'ours') return postmaster;
    if (performance.now() > deadline) throw foreign(place.stateDir, postmaster, answer);
    await sleep(RETRY_MS);
  }
}

/** Whether the server at `port` takes our password and runs on our data folder. */
async function ask(password: string, port: number, stateDir: string): Promise<string> {
  const client = new Client({ connectionString: urlOf(password, port), connectionTimeoutMillis: 2_000 });
  client.on('error', () => undefined);
  try {
    await client.connect();
    const { rows } = await client.query<{ data_directory: string }>('show data_directory');
    const [theirs, ours] = await Promise.all([stat(rows[0]?.data_directory ?? ''), stat(dataDirOf(stateDir))]);
    return theirs.ino === ours.ino && theirs.dev === ours.dev ? 'ours' : 'it runs on another folder';
  } catch (error) {
    return (error as Error).message;
  } finally {
    await client.end().catch(() => undefined);
  }
}

function foreign(stateDir: string, postmaster: Postmaster, answer: string): EmbeddedError {
  return new EmbeddedError(
    `${dataDirOf(stateDir)} is in use by process ${postmaster.pid}, which does not answer as ours: ${answer}`,
    'stop that process, or set ROWCAST_DATA_DIR to another folder',
  );
}

/**
 * Starts it. After a kill of PostgreSQL its lock file, its port and its shared memory may outlive it by a
 * second or so, hence the retries; a remembered port that somebody else took is replaced.
 */
async function start(place: Place, options: EmbeddedOptions): Promise<Postmaster> {
  const deadline = performance.now() + START_WAIT_MS;
  let staleSince: number | undefined;
  for (;;) {
    const lock = await readLockFile(dataDirOf(place.stateDir));
    if (lock.state === 'stale') {
      staleSince ??= performance.now();
      if (performance.now() - staleSince > STALE_LOCK_MS) await unlink(join(dataDirOf(place.stateDir), LOCK_FILE));
    }
    const failure = await startOnce(place, options);
    if (typeof failure !== 'string') return failure;
    if (performance.now() > deadline || !/lock file|pre-existing shared memory|could not bind/.test(failure)) {
      throw new EmbeddedError(
        `the embedded database did not start: ${failure}`,
        `see ${logFileOf(place.stateDir)}, or set DATABASE_URL to a PostgreSQL of your own`,
      );
    }
    await sleep(RETRY_MS);
  }
}

/** One attempt: the postmaster, or what its log says about the failure. */
async function startOnce(place: Place, options: EmbeddedOptions): Promise<Postmaster | string> {
  const { runner, stateDir } = place;
  const port = await choosePort(options.port, (await readSecrets(stateDir)).port);
  await writeSettings(runner, stateDir, { ...BASE_SETTINGS, ...options.settings, port });
  await rotateLog(stateDir);
  const logFrom = (await stat(logFileOf(stateDir)).catch(() => undefined))?.size ?? 0;
  const waitS = String(START_WAIT_MS / 1000);
  const started = await pgCtl(place, ['start', '-w', '-t', waitS, '-l', logFileOf(stateDir)]);
  if (started.code !== 0) return (await readLog(stateDir, logFrom)) || started.stderr.trim() || started.stdout.trim();
  await rememberPort(runner, stateDir, port);
  return (await runningPostmaster(stateDir)) ?? 'it ended right after its start';
}

function pgCtl(place: Place, args: readonly string[]): ReturnType<typeof runAs> {
  const { runner, stateDir } = place;
  return runAs(runner.account, programPath(runner.binaries, 'pg_ctl'), [...args, '-D', dataDirOf(stateDir)]);
}

/** The FATAL and ERROR lines written since `from`, with their hints. */
async function readLog(stateDir: string, from: number): Promise<string> {
  const file = await open(logFileOf(stateDir)).catch(() => undefined);
  if (!file) return '';
  try {
    const { buffer, bytesRead } = await file.read({ buffer: Buffer.alloc(64 * 1024), position: from });
    const lines = buffer.toString('utf8', 0, bytesRead).split('\n');
    return lines.filter((line) => /FATAL|ERROR|PANIC|HINT|could not|invalid|unrecognized/.test(line)).join('; ');
  } finally {
    await file.close();
  }
}

async function choosePort(wanted: number | undefined, remembered: number | undefined): Promise<number> {
  if (wanted !== undefined) return wanted;
  if (remembered !== undefined && (await freePort(remembered)) === remembered) return remembered;
  const port = await freePort(0);
  if (port === undefined) throw new Error('no free port on 127.0.0.1');
  return port;
}

/** `port` if it can be bound on loopback (0: any free one), else undefined. */
function freePort(port: number): Promise<number | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(undefined));
    server.listen({ port, host: '127.0.0.1' }, () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : undefined));
    });
  });
}

function urlOf(password: string, port: number): string {
  return `postgres://${SUPERUSER}:${password}@127.0.0.1:${port}/postgres`;
}

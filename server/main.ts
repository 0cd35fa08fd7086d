// The process: settings, database, migrations, server, signals, and the words when one of them fails.
// Logs go to standard error as JSON, what a person should read to standard output.

import type { Pool } from 'pg';
import { pino } from 'pino';
import { banner } from '../scripts/banner.ts';
import { createDemoTable } from '../scripts/demo-table.ts';
import { EmbeddedError } from '../scripts/embedded/embedded-error.ts';
import { embeddedKeeper } from '../scripts/embedded/keeper.ts';
import { type EmbeddedDatabase, startEmbedded } from '../scripts/embedded/start-embedded.ts';
import { type App, startApp } from './app.ts';
import type { AppOptions } from './app-parts.ts';
import { describeProblems, loadConfig } from './config/config.ts';
import { type SecretConfig, withStoredSecret } from './config/stored-secret.ts';
import { migrate } from './db/migrate.ts';
import { settlePolicyLogin } from './db/policy-login.ts';
import { openPool } from './db/pools.ts';
import { classifyDatabaseError, isTransient } from './db/sqlstate.ts';
import { Backoff, pause } from './lib/backoff.ts';
import type { Logger } from './lib/logger.ts';
import { supervise, UnrecoverableError } from './lib/service.ts';
import { settleMessageBound } from './messages/message-bound.ts';

/** Something an operator has to mend; said in words, without a stack. */
class StartError extends Error {
  override readonly name = 'StartError';
}

/** Something does not come to its end: the process has to be ended with it. */
class StopError extends Error {
  override readonly name = 'StopError';
}

/** Ctrl-C under npm sends the signal twice: only a later one means "at once". */
const REPEATED_SIGNAL_MS = 2_000;
const DATABASE_WAIT_MS = 30_000;
/** What stopping may take beside the times that are settings: requests in flight, connections. */
const STOP_SLACK_MS = 5_000;

process.exitCode = await main();

async function main(): Promise<number> {
  const loaded = loadConfig();
  if (!loaded.ok) return explain(new StartError(describeProblems(loaded.problems)));
  const { config, storedAt } = withStoredSecret(loaded.config);
  const log: Logger = pino({ level: config.log.level, base: { name: 'rowcast' } }, pino.destination(2));
  for (const warning of loaded.warnings) log.warn({}, warning);
  const stopping = stopOnSignals(log);
  try {
    await serve(config, storedAt, log, stopping);
    return 0;
  } catch (error) {
    if (error instanceof StopError) process.exit(explain(error));
    return explain(error);
  }
}

async function serve(
  config: SecretConfig,
  secretPath: string | undefined,
  log: Logger,
  stopping: AbortSignal,
): Promise<void> {
  const embedded = await openEmbedded(config);
  const keeper = new AbortController();
  const kept = embedded && supervise(embeddedKeeper(embedded, log), keeper.signal, { log });
  try {
    const databaseUrl = embedded?.url ?? (config.database.url as string);
    const policyUrl = await prepareDatabase(config, databaseUrl, embedded !== undefined, log, stopping);
    if (stopping.aborted || policyUrl === undefined) return;
    const app = await listen({ config, databaseUrl, policyUrl, log });
    const { host, port } = app;
    const isTerminal = process.stdout.isTTY === true;
    const welcome = banner({ config, host, port, secretPath, isEmbedded: embedded !== undefined, isTerminal });
    await runUntil(stopping, app, stopWithinMs(config), () => console.log(welcome));
  } finally {
    keeper.abort();
    await kept;
    await embedded?.stop();
  }
}

async function openEmbedded(config: SecretConfig): Promise<EmbeddedDatabase | undefined> {
  if (config.database.url !== undefined) return undefined;
  return startEmbedded({ dataDir: config.storage.dataDir, holder: 'server' });
}

// A database that is still starting (compose, a restart) is waited for; one that refuses is not. Returns how
// to log in for policies; undefined if it was told to stop.
async function prepareDatabase(
  config: SecretConfig,
  databaseUrl: string,
  isEmbedded: boolean,
  log: Logger,
  stopping: AbortSignal,
): Promise<string | undefined> {
  const backoff = new Backoff({ initialMs: 200, maxMs: 3_000 });
  const deadline = performance.now() + DATABASE_WAIT_MS;
  while (!stopping.aborted) {
    try {
      return await migrateDatabase(config, databaseUrl, isEmbedded, log);
    } catch (error) {
      const { kind, message } = classifyDatabaseError(error);
      if (error instanceof StartError) throw error;
      if (!isTransient(kind)) throw new StartError(`the database could not be prepared: ${message}`, { cause: error });
      if (performance.now() > deadline)
        throw new StartError(`the database cannot be reached: ${message}`, { cause: error });
      log.warn({ reason: message }, 'the database cannot be reached yet');
      await pause(backoff.next(), stopping);
    }
  }
  return undefined;
}

async function migrateDatabase(
  config: SecretConfig,
  databaseUrl: string,
  isEmbedded: boolean,
  log: Logger,
): Promise<string> {
  const database = openPool({
    connectionString: databaseUrl,
    applicationName: 'rowcast start',
    max: 2,
    statementTimeoutMs: 0,
    connectTimeoutMs: config.database.connectTimeoutMs,
    log,
  });
  try {
    const { roles, adminRoles } = config.auth;
    const publicationPrefix = config.replication.publication;
    const result = await migrate({ pool: database.pool, publicationPrefix, appRoles: roles, adminRoles, log });
    if (!result.ok) throw new StartError(result.message);
    await settleMessageBound(database.pool, config.socket.maxMessageBytes);
    const isFresh = result.applied.some((name) => name.startsWith('000001_'));
    if (isEmbedded && isFresh) await createDemoTable(database.pool);
    return await settlePolicies(config, databaseUrl, database.pool, log);
  } finally {
    await database.close();
  }
}

async function settlePolicies(config: SecretConfig, databaseUrl: string, pool: Pool, log: Logger): Promise<string> {
  const { policyUrl, connectTimeoutMs } = config.database;
  const { roles } = config.auth;
  const settled = await settlePolicyLogin({ pool, databaseUrl, policyUrl, roles, connectTimeoutMs, log });
  if (!settled.ok) throw new StartError(settled.message);
  log.info({ login: settled.login }, 'policies have their login');
  return settled.url;
}

async function listen(options: AppOptions): Promise<App> {
  try {
    return await startApp(options);
  } catch (error) {
    const { host, port } = options.config.http;
    switch ((error as NodeJS.ErrnoException).code) {
      case 'EADDRINUSE':
        throw new StartError(
          `port ${port} on ${host} is in use: stop what listens there, or choose another with PORT=${port + 1}`,
        );
      case 'EACCES':
        throw new StartError(`port ${port} needs more rights than this user has: choose one above 1023 with PORT`);
      case 'EADDRNOTAVAIL':
      case 'ENOTFOUND':
        throw new StartError(`this machine has no address ${host}: set HOST to one that it has, or to 0.0.0.0`);
      default:
        throw error;
    }
  }
}

async function runUntil(stopping: AbortSignal, app: App, stopMs: number, onSettled: () => void): Promise<void> {
  const stopped = new Promise<void>((resolve) => stopping.addEventListener('abort', () => resolve(), { once: true }));
  const ended = Promise.race([stopped, app.finished]);
  try {
    await Promise.race([ended, app.settled.then(onSettled)]);
    await ended;
  } finally {
    await stopWithin(app, stopMs);
  }
}

// The sockets' turn, then the journal's: what is not done by then waits for a database that does not answer.
function stopWithinMs({ shutdown }: SecretConfig): number {
  return shutdown.spreadMs + 2 * shutdown.drainMs + STOP_SLACK_MS;
}

async function stopWithin(app: App, timeoutMs: number): Promise<void> {
  const done = new AbortController();
  const late = pause(timeoutMs, done.signal).then(() => {
    if (!done.signal.aborted)
      throw new StopError(`could not stop within ${timeoutMs} ms, the database does not answer; nothing is lost`);
  });
  await Promise.race([app.stop().finally(() => done.abort()), late]);
}

function stopOnSignals(log: Logger): AbortSignal {
  const controller = new AbortController();
  let firstAt: number | undefined;
  const onSignal = (signal: NodeJS.Signals): void => {
    const now = performance.now();
    if (firstAt !== undefined && now - firstAt > REPEATED_SIGNAL_MS) process.exit(1);
    if (firstAt !== undefined) return;
    firstAt = now;
    log.info({ signal }, 'stopping');
    controller.abort();
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, onSignal);
  return controller.signal;
}

function explain(error: unknown): number {
  if (error instanceof EmbeddedError) console.error(`${error.message}\n→ ${error.remedy}`);
  else if (error instanceof StopError) console.error(`Rowcast ${error.message}`);
  else if (error instanceof StartError || error instanceof UnrecoverableError)
    console.error(`Rowcast cannot run: ${error.message}`);
  else console.error(error);
  return 1;
}

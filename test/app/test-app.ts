// Owns a whole server inside a test: a fresh database, migrated, with the app on a free port. Closing it
// stops the app and drops the database, so that what either leaves open fails the test file.

import { randomBytes, randomUUID } from 'node:crypto';
import { tmpdir } from 'node:os';
import { mintFor } from '../../scripts/tools/mint.ts';
import { type App, startApp } from '../../server/app.ts';
import { loadConfig } from '../../server/config/config.ts';
import type { SecretConfig } from '../../server/config/stored-secret.ts';
import { migrate } from '../../server/db/migrate.ts';
import { settlePolicyLogin } from '../../server/db/policy-login.ts';
import { openPool } from '../../server/db/pools.ts';
import type { LogFields, Logger } from '../../server/lib/logger.ts';
import { settleMessageBound } from '../../server/messages/message-bound.ts';
import type { TestDatabase, TestPostgres } from '../rig/postgres.ts';
import { until } from '../rig/until.ts';
import { TestClient } from './test-client.ts';

export type LogLine = { readonly level: keyof Logger; readonly message: string; readonly fields: LogFields };

export type TestAppOptions = {
  /** Settings by variable, over what a test needs. */
  readonly env?: Readonly<Record<string, string>> | undefined;
  /** Run before the app starts, in the migrated database, as the login that can do everything. */
  readonly sql?: string | undefined;
  /** The login under which everything of Rowcast's runs; made by `prepare`. Default: the one that can do everything. */
  readonly login?: TestLogin | undefined;
  /** `open` (default): a policy lets everybody see all channels, so that all may be subscribed to. */
  readonly channels?: 'open' | 'closed' | undefined;
  /** False: the app has to make the partitions of these days itself. */
  readonly hasPartitions?: boolean | undefined;
};

export type TestLogin = { readonly user: string; readonly password: string; readonly prepare: string };

const OPEN_CHANNELS = 'create policy test_open on realtime.channels for select to public using (true)';

export interface TestApp extends AsyncDisposable {
  readonly database: TestDatabase;
  readonly config: SecretConfig;
  readonly url: string;
  readonly logLines: readonly LogLine[];
  /** The running app; another one after `restart`. */
  app(): App;
  adminToken(): string;
  token(role: string, claims?: Readonly<Record<string, unknown>>): string;
  /** A connected and authenticated client; closed with the app. Admin unless `token` is given. */
  client(token?: string): Promise<TestClient>;
  /** Stops the app and starts it again over the same database. */
  restart(): Promise<void>;
}

/** Creates a database on `postgres`, migrates it, and starts the app over it. */
export async function startTestApp(postgres: TestPostgres, options: TestAppOptions = {}): Promise<TestApp> {
  const database = await (isStandard(options) ? postgres.createMigrated(options) : postgres.createDatabase());
  try {
    return await startOver(database, options);
  } catch (error) {
    await database.drop();
    throw error;
  }
}

/** Whether the schema that it needs is that of the template. */
function isStandard({ login, env = {} }: TestAppOptions): boolean {
  const others = ['ROWCAST_ROLES', 'ROWCAST_ADMIN_ROLES', 'ROWCAST_PUBLICATION'];
  return login === undefined && !others.some((name) => name in env);
}

async function startOver(database: TestDatabase, options: TestAppOptions): Promise<TestApp> {
  const logLines: LogLine[] = [];
  const log = collectingLogger(logLines);
  const config = testConfig(database, options.env ?? {});
  const databaseUrl = await loginUrl(database, options.login);
  const policyUrl = await prepareDatabase(databaseUrl, config, log);
  if (options.channels !== 'closed') await database.query(OPEN_CHANNELS);
  if (options.sql !== undefined) await database.query(options.sql);
  const start = async (): Promise<App> => {
    const app = await startApp({ config, databaseUrl, policyUrl, log });
    await app.settled;
    return app;
  };
  let app = await start();
  const clients: TestClient[] = [];
  const token = (role: string, { sub = randomUUID(), ...claims }: Readonly<Record<string, unknown>> = {}): string =>
    mintFor(config, { role, sub: String(sub), expiresInMs: 3_600_000, claims });
  const adminToken = (): string => token('service_role');
  return {
    database,
    config,
    get url() {
      return `ws://127.0.0.1:${app.port}/realtime`;
    },
    logLines,
    app: () => app,
    adminToken,
    token,
    client: async (given = adminToken()) => {
      const client = await TestClient.connect(`ws://127.0.0.1:${app.port}/realtime`, given);
      clients.push(client);
      return client;
    },
    restart: async () => {
      await app.stop();
      app = await start();
    },
    [Symbol.asyncDispose]: async () => {
      await Promise.all(clients.map((client) => client.close()));
      await app.stop();
      await database.drop();
    },
  };
}

async function loginUrl(database: TestDatabase, login: TestLogin | undefined): Promise<string> {
  if (login === undefined) return database.url;
  await database.query(login.prepare);
  return database.urlAs(login.user, login.password);
}

/** The settings of a test server, the slot its own. */
export function testConfig(database: TestDatabase, env: Readonly<Record<string, string>>): SecretConfig {
  const loaded = loadConfig({
    argv: [],
    cwd: tmpdir(),
    env: {
      PORT: '0',
      ROWCAST_SLOT: database.slot,
      ROWCAST_JWT_SECRET: randomBytes(32).toString('base64'),
      ROWCAST_SHUTDOWN_SPREAD: '0',
      ROWCAST_RATE_LIMIT: 'off',
      ROWCAST_CATALOGUE_POLL: '100ms',
      ...env,
    },
  });
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems));
  return loaded.config as SecretConfig;
}

/** Migrates, as the server does at its start. */
export async function migrateDatabase(databaseUrl: string, config: SecretConfig, log: Logger): Promise<void> {
  await prepareDatabase(databaseUrl, config, log);
}

/** Migrates and settles the login that policies run on; returns how to log in as it. */
export async function prepareDatabase(databaseUrl: string, config: SecretConfig, log: Logger): Promise<string> {
  const { roles, adminRoles } = config.auth;
  const options = { connectionString: databaseUrl, applicationName: 'migrate', max: 1, statementTimeoutMs: 0, log };
  const { pool, close } = openPool(options);
  try {
    const publicationPrefix = config.replication.publication;
    const result = await migrate({ pool, publicationPrefix, appRoles: roles, adminRoles, log });
    if (!result.ok) throw new Error(result.message);
    await settleMessageBound(pool, config.socket.maxMessageBytes);
    const { policyUrl } = config.database;
    const settled = await settlePolicyLogin({ pool, databaseUrl, policyUrl, roles, log });
    if (!settled.ok) throw new Error(settled.message);
    return settled.url;
  } finally {
    await close();
  }
}

export function collectingLogger(lines: LogLine[]): Logger {
  const collect =
    (level: keyof Logger) =>
    (fields: LogFields, message: string): void =>
      void lines.push({ level, message, fields });
  return { debug: collect('debug'), info: collect('info'), warn: collect('warn'), error: collect('error') };
}

/** Waits until the app's stream flows. */
export function untilStreaming(app: TestApp): Promise<unknown> {
  return until(() => app.app().status().status === 'streaming', { what: 'the stream to flow' });
}

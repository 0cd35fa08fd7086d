// Owns the field on which servers are broken: a PostgreSQL of its own with the tortured tables, the oracle's slot over
// them, and a fleet of servers, with times so short that a run of minutes sees what takes hours elsewhere.

import type { SecretConfig } from '../../server/config/stored-secret.ts';
import { must } from '../../server/lib/assert.ts';
import { migrateDatabase } from '../app/test-app.ts';
import type { TestDatabase, TestPostgres } from '../rig/postgres.ts';
import { until } from '../rig/until.ts';
import { type OwnCluster, startOwnCluster } from './own-cluster.ts';
import type { Plant } from './plant.ts';
import { ServerProcess, serverEnvironment } from './server-process.ts';
import { Fleet } from './torture-fleet.ts';
import { TORTURED_TABLES } from './torture-load.ts';
import { createOracleSlot } from './wal-oracle.ts';

export type FieldOptions = {
  readonly servers: number;
  readonly random: () => number;
  readonly plants?: readonly Plant[] | undefined;
  /** Where the database is made, if it need not be broken: a cluster of its own takes longer to stand. */
  readonly postgres?: TestPostgres | undefined;
  /** Told what should not happen, in words. */
  readonly complain: (text: string) => void;
};

export interface Field extends AsyncDisposable {
  /** Undefined where the database is not to be broken. */
  readonly cluster: OwnCluster | undefined;
  readonly database: TestDatabase;
  readonly fleet: Fleet;
  readonly config: SecretConfig;
  readonly random: () => number;
}

/** Within this everything has to work again behind a fault. */
export const RECOVERY_MS = 30_000;

const QUIET = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };
const CLUSTER = { wal_sender_timeout: '2s', max_connections: 200, max_wal_size: '2GB', shared_buffers: '64MB' };
const QUICK = {
  ROWCAST_RECONNECT_INITIAL: '50ms',
  ROWCAST_RECONNECT_MAX: '500ms',
  ROWCAST_PING_INTERVAL: '1s',
  ROWCAST_PONG_TIMEOUT: '2s',
  ROWCAST_LEASE: '2s',
  // So that many transactions come in parts.
  ROWCAST_BATCH_BYTES: '8KiB',
  // How long a dead link may hold up a statement: this and 5 s.
  ROWCAST_STATEMENT_TIMEOUT: '2s',
};

/** Everything stands and streams when it resolves. */
export async function openField({ servers, random, plants = [], complain, postgres }: FieldOptions): Promise<Field> {
  await using opened = new AsyncDisposableStack();
  const cluster = postgres === undefined ? opened.use(await startOwnCluster(CLUSTER)) : undefined;
  const database = opened.use(await (cluster?.postgres ?? must(postgres, 'a PostgreSQL')).createDatabase());
  const { env, config } = serverEnvironment(database, QUICK);
  await migrateDatabase(database.url, config, QUIET);
  await database.query(TORTURED_TABLES);
  await firstStart(env);
  await createOracleSlot(database);
  const fleet = await Fleet.start({ database, env, servers, plants, random, complain });
  opened.defer(() => fleet.stop());
  await fleet.ready(RECOVERY_MS);
  const whole = opened.move();
  return { cluster, database, fleet, config, random, [Symbol.asyncDispose]: () => whole.disposeAsync() };
}

/** Waits until the database can be asked and somebody streams from it. */
export async function fieldIsWell({ database, fleet }: Pick<Field, 'database' | 'fleet'>): Promise<void> {
  await until(() => database.query('select 1 as one'), { what: 'the database', timeoutMs: RECOVERY_MS });
  await fleet.ready(RECOVERY_MS);
}

// The servers' slot holds what commits from its first start on.
async function firstStart(env: Readonly<Record<string, string>>): Promise<void> {
  await using server = ServerProcess.spawn(env);
  await server.greeted();
  await server.stop();
}

// Owns the connections that the doctor examines policies with: the main login's, with the server's settings
// pinned, and the policy login's, on which policies run. What the latter lacks is policy-login-findings.ts's.

import type { Client, Pool } from 'pg';
import type { Config } from '../../server/config/config.ts';
import { urlAs } from '../../server/db/login-url.ts';
import { policyLoginName } from '../../server/db/policy-login-maker.ts';
import { openPool } from '../../server/db/pools.ts';
import type { Logger } from '../../server/lib/logger.ts';
import { JudgeCall } from '../../server/policies/judge-call.ts';
import { keptPassword } from './policy-login-findings.ts';

export type Examining = AsyncDisposable & {
  readonly main: Pool;
  /** Null where the server has not made its policy login yet. */
  readonly judge: JudgeCall | null;
};

/** For a sample, and for each policy that is tried. */
export const PATIENCE_MS = 5_000;

const SILENT: Logger = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };

/** Connects when used. `databaseUrl` is how `client` connected. */
export async function openExamining(client: Client, config: Config, databaseUrl: string): Promise<Examining> {
  const connectTimeoutMs = config.database.connectTimeoutMs;
  const about = { applicationName: 'rowcast-tool', max: 1, statementTimeoutMs: PATIENCE_MS, connectTimeoutMs };
  const open = (connectionString: string) => openPool({ ...about, connectionString, log: SILENT });
  const main = open(databaseUrl);
  const url = await policyLoginUrl(client, config, databaseUrl);
  const policies = url === null ? null : open(url);
  return {
    main: main.pool,
    judge: policies === null ? null : new JudgeCall(policies.pool),
    [Symbol.asyncDispose]: async () => {
      await Promise.all([main.close(), policies?.close()]);
    },
  };
}

/** As the server chooses it: the one that is given, else the one it made, else the main one. */
async function policyLoginUrl(client: Client, config: Config, databaseUrl: string): Promise<string | null> {
  if (config.database.policyUrl !== undefined) return config.database.policyUrl;
  const { rows } = await client.query<{ makes: boolean }>(
    'select rolsuper or rolcreaterole as makes from pg_roles where rolname = current_user',
  );
  if (rows[0]?.makes !== true) return databaseUrl;
  const password = await keptPassword(client);
  return password === null ? null : urlAs(databaseUrl, await policyLoginName(client), password);
}

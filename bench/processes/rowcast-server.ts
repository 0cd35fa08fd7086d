// A whole server in a process of its own, journal and all, with the settings a bench needs: a free port, no
// rate limits, its own slot. Everything else is as it comes.

import { randomBytes, randomUUID } from 'node:crypto';
import { tmpdir } from 'node:os';
import { pino } from 'pino';
import { mintFor } from '../../scripts/tools/mint.ts';
import { type App, startApp } from '../../server/app.ts';
import { loadConfig } from '../../server/config/config.ts';
import type { SecretConfig } from '../../server/config/stored-secret.ts';
import { answerCalls } from './answer-calls.ts';
import type { ServerAddress } from './receive-order.ts';

export type ServeOrder = {
  readonly databaseUrl: string;
  /** How to log in for policies. */
  readonly policyUrl: string;
  readonly slot: string;
  /** What receivers subscribe to; default: the rows. */
  readonly channel?: string | undefined;
  /** Further settings, by variable. */
  readonly env?: Readonly<Record<string, string>> | undefined;
};

let app: App | undefined;

async function serve({
  databaseUrl,
  policyUrl,
  slot,
  channel = 'db:bench_rows',
  env,
}: ServeOrder): Promise<ServerAddress> {
  const loaded = loadConfig({
    argv: [],
    cwd: tmpdir(),
    env: {
      PORT: '0',
      ROWCAST_SLOT: slot,
      ROWCAST_JWT_SECRET: randomBytes(32).toString('base64'),
      ROWCAST_RATE_LIMIT: 'off',
      ROWCAST_SHUTDOWN_SPREAD: '0',
      ...env,
    },
  });
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems));
  const config = loaded.config as SecretConfig;
  app = await startApp({ config, databaseUrl, policyUrl, log: pino({ level: 'warn' }, pino.destination(2)) });
  await app.settled;
  const tokenOf = (role: string): string => mintFor(config, { role, sub: randomUUID(), expiresInMs: 3_600_000 });
  const subscribe = JSON.stringify({ type: 'subscribe', channel });
  const [token, userToken] = [tokenOf('service_role'), tokenOf('authenticated')];
  return { port: app.port, path: '/realtime', token, userToken, subscribe };
}

answerCalls({ serve, stop: () => app?.stop() });

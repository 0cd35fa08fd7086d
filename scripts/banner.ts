// Owns what a person reads when the server is up: where it is, tokens to try it with, and two lines to paste.
// Tokens are shown where a person tries things out: on a terminal, or beside the embedded database. The output
// of a server in a container ends in somebody's log, and holds none.

import { randomUUID } from 'node:crypto';
import type { SecretConfig } from '../server/config/stored-secret.ts';
import { mintAdminToken, mintFor } from './tools/mint.ts';

export type BannerFacts = {
  readonly config: SecretConfig;
  readonly host: string;
  readonly port: number;
  /** Where the generated secret lies; undefined where one was set. */
  readonly secretPath: string | undefined;
  readonly isEmbedded: boolean;
  readonly isTerminal: boolean;
};

const DAY_MS = 86_400_000;

/** The lines to print. */
export function banner(facts: BannerFacts): string {
  const { host, port } = facts;
  const address = `${host.includes(':') ? `[${host}]` : host}:${port}`;
  const lines = [
    '',
    `Rowcast is ready.`,
    `  WebSocket  ws://${address}/realtime`,
    `  REST       http://${address}/api/realtime`,
  ];
  lines.push(`  health     http://${address}/readyz`, '', ...tokenLines(facts), '', ...pasteLines(facts), '');
  return lines.join('\n');
}

function tokenLines({ config, secretPath, isTerminal, isEmbedded }: BannerFacts): string[] {
  if (!isEmbedded && !isTerminal) return ['Tokens: npm run token -- --role authenticated --sub <uuid>'];
  const lines =
    secretPath === undefined
      ? []
      : [`Tokens are signed with the secret in ${secretPath} (set ROWCAST_JWT_SECRET in production).`];
  if (config.auth.adminRoles.length > 0) lines.push(`  admin (1 day)  ${mintAdminToken(config, DAY_MS)}`);
  const role = config.auth.roles.includes('authenticated') ? 'authenticated' : config.auth.roles[0];
  if (role !== undefined)
    lines.push(`  user  (1 day)  ${mintFor(config, { role, sub: randomUUID(), expiresInMs: DAY_MS })}`);
  return lines;
}

function pasteLines({ isEmbedded, port, config }: BannerFacts): string[] {
  const flags = port === 4000 && config.http.port === 4000 ? '' : ` --port ${port}`;
  if (isEmbedded) {
    return [
      'See a live change: paste the first line into a second terminal, the second into a third.',
      `  npm run tail -- db:posts${flags}`,
      `  npm run sql -- "insert into posts (title, content) values ('New Post', 'Hello world')"`,
    ];
  }
  return [
    'See a live change: put a table of yours for your_table, and change one of its rows.',
    `  npm run sql -- "select realtime.watch('public.your_table')"`,
    `  npm run tail -- db:your_table${flags}`,
  ];
}

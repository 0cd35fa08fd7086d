// Owns `npm run token -- --role authenticated --sub <id>`: prints a token that this server accepts.

import { Command } from 'commander';
import { durationMs } from '../server/config/kinds.ts';
import { withStoredSecret } from '../server/config/stored-secret.ts';
import { mintFor } from './tools/mint.ts';
import { runTool, ToolError } from './tools/tool-arguments.ts';

type TokenOptions = { role: string; sub?: string; expires: string; claims?: string };

const command = new Command('npm run token --')
  .description('Prints a token, signed with ROWCAST_JWT_SECRET or the secret that was generated.')
  .requiredOption('--role <role>', 'one of ROWCAST_ROLES or ROWCAST_ADMIN_ROLES')
  .option('--sub <id>', 'the user it stands for')
  .option('--expires <time>', 'how long it is good: 30m, 1h, 7d', '1h')
  .option('--claims <json>', 'more claims, as a JSON object');

await runTool(command, async ({ config }) => {
  const { role, sub, expires, claims } = command.opts<TokenOptions>();
  const expiresInMs = durationMs(expires);
  if (!expiresInMs) throw new ToolError(`--expires ${expires} is no time; for example 30m, 1h, 7d`);
  const secrets = withStoredSecret(config);
  console.log(mintFor(secrets.config, { role, sub, expiresInMs, claims: parseClaims(claims) }));
  if (secrets.storedAt) console.error(`signed with the generated secret in ${secrets.storedAt}`);
  return 0;
});

function parseClaims(json: string | undefined): Record<string, unknown> {
  if (json === undefined) return {};
  try {
    const claims: unknown = JSON.parse(json);
    if (typeof claims === 'object' && claims !== null && !Array.isArray(claims))
      return claims as Record<string, unknown>;
  } catch {
    // Said below, for text that is no JSON and for JSON that is no object alike.
  }
  throw new ToolError(`--claims must be a JSON object, for example '{"org":"acme"}'`);
}

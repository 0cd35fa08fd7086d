// Owns `npm run publish -- order:42 order.updated '{"status":"shipped"}'`: publishes one message over REST and
// prints its messageId. The payload goes out as it was typed, to the digit.
// There is no `prepublish` script, for npm runs that at every install: see package.json.

import { text } from 'node:stream/consumers';
import { Command } from 'commander';
import type { Config } from '../server/config/config.ts';
import { withStoredSecret } from '../server/config/stored-secret.ts';
import { mintFor } from './tools/mint.ts';
import { reach } from './tools/read-rest.ts';
import { restUrl, serverUrl } from './tools/server-url.ts';
import { runTool, ToolError } from './tools/tool-arguments.ts';

type PublishOptions = { id?: string; token?: string; url?: string };
type Answer = { readonly messageId?: string; readonly error?: string; readonly message?: string };

const PATH = '/api/realtime/publish';
const TOKEN_MS = 60_000;
/** Without a sub nobody may choose an id. */
const TOOL_SUB = 'npm-run-publish';

const command = new Command('npm run publish --')
  .description('Publishes a message and prints its messageId.')
  .argument('<channel>', 'for example order:42')
  .argument('<event>', 'for example order.updated')
  .argument('[payload]', 'JSON, or - to read it from standard input', 'null')
  .option('--id <uuid>', 'the same id again within 24 hours is the same message')
  .option('--token <token>', `default: an admin token, signed with the stored secret; with --id its sub is ${TOOL_SUB}`)
  .option('--url <url>', 'default: the server of this folder (HOST, PORT)');

await runTool(command, async ({ config }) => {
  const { id, url, token } = command.opts<PublishOptions>();
  const [channel = '', event = '', given = ''] = command.processedArgs as string[];
  const payload = given === '-' ? await text(process.stdin) : given;
  const members = [`"channel":${JSON.stringify(channel)}`, `"event":${JSON.stringify(event)}`];
  if (id !== undefined) members.push(`"id":${JSON.stringify(id)}`);
  const body = `{${members.join(',')},"payload":${checked(payload)}}`;
  const bearer = token ?? adminToken(config, id === undefined ? undefined : TOOL_SUB);
  const { messageId, error, message } = await post(restUrl(url ?? serverUrl(config), PATH), bearer, body);
  if (messageId === undefined) throw new ToolError(`${error}: ${message}`);
  console.log(messageId);
  return 0;
});

function checked(payload: string): string {
  try {
    JSON.parse(payload);
    return payload;
  } catch {
    throw new ToolError(`the payload must be JSON, for example '{"status":"shipped"}' or '"text"'`);
  }
}

async function post(url: string, token: string, body: string): Promise<Answer> {
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
  const response = await reach(url, { method: 'POST', headers, body }, url);
  try {
    return (await response.json()) as Answer;
  } catch {
    throw new ToolError(`${url} answered ${response.status}, and not as Rowcast does`);
  }
}

function adminToken(config: Config, sub: string | undefined): string {
  const { config: secrets } = withStoredSecret(config);
  const role = secrets.auth.adminRoles[0];
  if (role === undefined) throw new ToolError('there is no admin role (ROWCAST_ADMIN_ROLES is empty): give --token');
  return mintFor(secrets, { role, sub, expiresInMs: TOKEN_MS });
}

// Owns `npm run listen -- order:42 --to http://localhost:3000/hook`: while developing, forwards what arrives on a channel, or
// on that of a source, to a local address, with the body and the headers of a webhook. One after the other, each once:
// what the receiver does not take is said, and not sent again.

import { randomBytes } from 'node:crypto';
import { Command } from 'commander';
import { createClient, type Message, RowcastError } from '../client/rowcast.js';
import type { Config } from '../server/config/config.ts';
import { withStoredSecret } from '../server/config/stored-secret.ts';
import { VERSION } from '../server/lib/version.ts';
import { requestHeaders } from '../server/webhooks/request-headers.ts';
import { messageBody } from './tools/message-body.ts';
import { mintAdminToken } from './tools/mint.ts';
import { readRest } from './tools/read-rest.ts';
import { serverUrl } from './tools/server-url.ts';
import { runTool, ToolError } from './tools/tool-arguments.ts';

type ListenOptions = { to: string; event?: string; secret?: string; token?: string; url?: string; count?: string };
type Source = { readonly id: string; readonly name: string; readonly channel: string };

const TOKEN_MS = 60 * 60 * 1000;
const TIMEOUT_MS = 15_000;

const command = new Command('npm run listen --')
  .description('Forwards the messages of a channel, or of a source by its name, to a local address, as webhooks.')
  .argument('<channel>', 'for example order:42, db:posts, or source:shop')
  .requiredOption('--to <url>', 'where to send them: http://localhost:3000/hook')
  .option('--event <names>', 'only these events, separated by commas')
  .option('--secret <whsec>', 'sign with this secret; default: a new one, which is printed')
  .option('--token <token>', 'default: an admin token, signed with the stored secret')
  .option('--url <url>', 'default: the server of this folder (HOST, PORT)')
  .option('--count <number>', 'end after so many messages');

await runTool(command, async ({ config }) => {
  const options = command.opts<ListenOptions>();
  if (!/^https?:$/.test(URL.parse(options.to)?.protocol ?? ''))
    throw new ToolError(`--to ${options.to} is no http URL`);
  const channel = await channelOf(config, command.args[0] ?? '', options);
  const secret = options.secret ?? `whsec_${randomBytes(32).toString('base64')}`;
  if (options.secret === undefined) console.error(`signed with ${secret}`);
  const client = createClient(options.url ?? serverUrl(config), { token: options.token ?? adminToken(config) });
  try {
    return await listen(client, channel, { ...options, secret });
  } finally {
    await client.close();
  }
});

/** Resolves with the exit code: at Ctrl-C, after `count` messages, or when the server refuses for good. */
function listen(
  client: ReturnType<typeof createClient>,
  channel: string,
  { to, event, count, secret }: ListenOptions & { readonly secret: string },
): Promise<number> {
  return new Promise((resolve) => {
    let left = count === undefined ? Number.POSITIVE_INFINITY : Number(count);
    let last = Promise.resolve();
    const onMessage = (message: Message): void => {
      if (left-- <= 0) return;
      const isLast = left === 0;
      last = last
        .then(() => forward(message, to, secret))
        .then(() => {
          if (isLast) resolve(0);
        });
    };
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve(0));
    const filter = event === undefined ? {} : { filter: { event: event.split(',') } };
    const subscription = client.subscribe(channel, {
      ...filter,
      onMessage,
      onStatus: (status) => {
        if (status.type === 'ended') {
          if (status.reason !== 'closed') console.error(`${channel}: ended: ${status.reason}`);
          resolve(1);
        } else console.error(`${channel}: ${status.type}`);
      },
    });
    subscription.ready.catch((error: unknown) => {
      if (!(error instanceof RowcastError)) throw error;
    });
  });
}

async function forward(message: Message, to: string, secret: string): Promise<void> {
  const body = Buffer.from(messageBody(message));
  const { messageId: id = '', channel: channelName, event: eventName } = message;
  const members = [{ id: 0n, attempts: 1, channelName, eventName }];
  const request = { endpointId: '', url: to, id, isBatch: false, members, body, secrets: [secret], token: null };
  const headers = requestHeaders(request, `Rowcast/${VERSION}`, Date.now());
  const startedAt = performance.now();
  const outcome = await post(to, headers, body);
  console.log(`${outcome}  ${Math.round(performance.now() - startedAt)} ms  ${eventName}  ${channelName}  ${id}`);
}

async function post(to: string, headers: Record<string, string>, body: Buffer): Promise<string> {
  const signal = AbortSignal.timeout(TIMEOUT_MS);
  try {
    const response = await fetch(to, {
      method: 'POST',
      headers,
      body: new Uint8Array(body),
      redirect: 'manual',
      signal,
    });
    await response.body?.cancel();
    return String(response.status);
  } catch (error) {
    const { name, message, cause } = error as Error & { cause?: { code?: string } };
    return name === 'TimeoutError' ? 'no answer' : (cause?.code ?? message);
  }
}

/** `source:shop` is the channel of the source of that name or id; everything else is a channel. */
async function channelOf(config: Config, text: string, access: ListenOptions): Promise<string> {
  if (!text.startsWith('source:')) return text;
  const wanted = text.slice('source:'.length);
  const sources = JSON.parse(await readRest(config, access, '/api/realtime/sources', {})) as readonly Source[];
  const found = sources.filter(({ id, name }) => id === wanted || name === wanted);
  if (found.length === 1 && found[0] !== undefined) return found[0].channel;
  throw new ToolError(
    found.length === 0 ? `there is no source ${wanted}` : `several sources are called ${wanted}: give the id`,
  );
}

/** Minted anew at each connect, so that listening long never runs out of it. */
function adminToken(config: Config): () => string {
  const secrets = withStoredSecret(config).config;
  return () => mintAdminToken(secrets, TOKEN_MS);
}

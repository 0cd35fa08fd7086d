// Owns `npm run tail -- db:posts`: prints what arrives on channels, until Ctrl-C. It comes back by itself
// after a restart of the server, and asks for what it missed. Messages go to standard output, all else to
// standard error.

import { Command } from 'commander';
import { type Client, createClient, type Message, RowcastError, type SubscriptionStatus } from '../client/rowcast.js';
import type { Config } from '../server/config/config.ts';
import { withStoredSecret } from '../server/config/stored-secret.ts';
import { describeMessage } from './tools/describe-message.ts';
import { mintAdminToken } from './tools/mint.ts';
import { serverUrl } from './tools/server-url.ts';
import { runTool, ToolError } from './tools/tool-arguments.ts';

type TailOptions = {
  event?: string;
  schema?: string;
  where?: string;
  since?: string;
  token?: string;
  url?: string;
  json?: boolean;
  count?: string;
};

const TOKEN_MS = 60 * 60 * 1000;

const command = new Command('npm run tail --')
  .description('Subscribes to channels and prints every message.')
  .argument('<channels...>', 'for example db:posts, or order:42')
  .option('--event <names>', 'only these events, separated by commas')
  .option('--schema <name>', 'the schema of the table')
  .option('--where <json>', 'only rows like this')
  .option('--since <position>', 'begin after this position')
  .option('--token <token>', 'default: an admin token, signed with the stored secret')
  .option('--url <url>', 'default: the server of this folder (HOST, PORT)')
  .option('--json', 'print each message as it came')
  .option('--count <number>', 'end after so many messages');

await runTool(command, async ({ config }) => {
  const options = command.opts<TailOptions>();
  const client = createClient(options.url ?? serverUrl(config), { token: options.token ?? adminToken(config) });
  const limit = parseCount(options.count);
  try {
    return await follow(client, command.args, options, limit);
  } finally {
    await client.close();
  }
});

/** Resolves with the exit code: at Ctrl-C, after `limit` messages, or when the server refuses for good. */
function follow(client: Client, channels: readonly string[], options: TailOptions, limit: number): Promise<number> {
  return new Promise((resolve) => {
    let printed = 0;
    const print = (message: Message): void => {
      if (printed >= limit) return;
      process.stdout.write(`${options.json ? JSON.stringify(message) : describeMessage(message)}\n`);
      printed += 1;
      if (printed === limit) resolve(0);
    };
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve(0));
    // Whoever reads may leave: npm run tail … | head.
    process.stdout.once('error', () => resolve(0));
    client.on('error', (error) => console.error(`${error.code}: ${error.message}`));
    client.on('system', ({ status, lagBytes }) =>
      console.error(`stream: ${status}${lagBytes ? `, ${lagBytes} bytes behind` : ''}`),
    );
    client.on('status', (status) => {
      if (status === 'waiting') console.error('not connected, will try again');
      if (status === 'closed') resolve(1);
    });
    for (const channel of channels) {
      const onStatus = (status: SubscriptionStatus): void => {
        // What follows our own close is no news.
        if (status.type === 'ended' && status.reason === 'closed') return;
        console.error(`${channel}: ${describeStatus(status)}`);
        if (status.type === 'ended') resolve(1);
      };
      const since = options.since === undefined ? {} : { since: options.since };
      const subscription = client.subscribe(channel, {
        filter: filterOf(options),
        ...since,
        onMessage: print,
        onStatus,
      });
      subscription.ready.catch((error: unknown) => {
        if (!(error instanceof RowcastError)) throw error;
      });
    }
  });
}

function describeStatus(status: SubscriptionStatus): string {
  switch (status.type) {
    case 'subscribed':
      return ['subscribed', ...status.warnings.map(({ message }) => `  warning: ${message}`)].join('\n');
    case 'live':
      return 'live';
    case 'gap':
      return `messages may be missing (${status.reason})`;
    case 'behind':
      return 'left behind by the server, catching up';
    case 'disconnected':
      return 'disconnected';
    case 'ended':
      return `ended: ${status.reason}`;
  }
}

function filterOf({ event, schema, where }: TailOptions): Record<string, unknown> {
  return {
    ...(event === undefined ? {} : { event: event.split(',') }),
    ...(schema === undefined ? {} : { schema }),
    ...(where === undefined ? {} : { where: parseJson(where) }),
  };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new ToolError(`--where must be JSON, for example '{"status":"open"}'`);
  }
}

function parseCount(text: string | undefined): number {
  if (text === undefined) return Number.POSITIVE_INFINITY;
  if (!/^[1-9]\d*$/.test(text)) throw new ToolError(`--count ${text} is no number of messages`);
  return Number(text);
}

/** Minted anew at each connect, so that a long tail never runs out of it. */
function adminToken(config: Config): () => string {
  const secrets = withStoredSecret(config).config;
  return () => mintAdminToken(secrets, TOKEN_MS);
}

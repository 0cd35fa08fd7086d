// Owns `npm run history -- --channel db:posts --since 1h`: prints what history holds, oldest first, so that the newest stands
// at the end of the screen.

import { Command } from 'commander';
import { itemTexts, memberTexts } from '../server/protocol/json-slices.ts';
import { describeMessage } from './tools/describe-message.ts';
import { type RestAccess, readRest, timeAgo } from './tools/read-rest.ts';
import { runTool } from './tools/tool-arguments.ts';

type HistoryOptions = RestAccess & {
  channel?: string;
  channelId?: string;
  event?: string;
  sender?: string;
  since?: string;
  until?: string;
  limit: string;
  json?: boolean;
};

type Listed = {
  readonly id: string;
  readonly eventName: string;
  readonly channelName: string;
  readonly payload: unknown;
  readonly senderId: string | null;
  readonly createdAt: string;
};

const command = new Command('npm run history --')
  .description('Prints published messages and row changes out of history, oldest first.')
  .option('--channel <name>', 'only of this channel: order:42, or db:posts')
  .option('--channel-id <uuid>', 'only of this configured channel')
  .option('--event <name>', 'only this event')
  .option('--sender <sub>', 'only what this user published')
  .option('--since <when>', 'from a time on (2024-01-15T10:30:00Z, or 1h ago), or behind a position')
  .option('--until <when>', 'before a time or a position')
  .option('--limit <number>', 'the newest ones, at most so many', '50')
  .option('--json', 'print each message as the server gives it, a line each')
  .option('--token <token>', 'default: an admin token, signed with the stored secret')
  .option('--url <url>', 'default: the server of this folder (HOST, PORT)');

await runTool(command, async ({ config }) => {
  const options = command.opts<HistoryOptions>();
  const answer = await readRest(config, options, '/api/realtime/messages', {
    channel: options.channel,
    channelId: options.channelId,
    eventName: options.event,
    senderId: options.sender,
    since: timeAgo(options.since),
    until: timeAgo(options.until),
    limit: options.limit,
  });
  const messages = itemTexts(answer).reverse();
  for (const message of messages) console.log(options.json ? message : describe(message));
  if (messages.length === 0) console.error('nothing in history fits');
  return 0;
});

// The payload as it stands there: parsed and printed again, large numbers would lose digits.
function describe(text: string): string {
  const { id: messageId, channelName: channel, eventName: event, ...message } = JSON.parse(text) as Listed;
  const { payload, senderId, createdAt: timestamp } = message;
  const frame = { type: 'message' as const, messageId, channel, event, payload, senderId, timestamp };
  return `${timestamp.slice(0, 10)} ${describeMessage(frame, memberTexts(text).get('payload'))}`;
}

// Owns `npm run stats -- --since 1d`: prints the statistics of history.

import { Command } from 'commander';
import type { HistoryStats } from '../server/messages/history-query.ts';
import { type RestAccess, readRest, timeAgo } from './tools/read-rest.ts';
import { formatTable } from './tools/table.ts';
import { runTool } from './tools/tool-arguments.ts';

type StatsOptions = RestAccess & { channelId?: string; since?: string; until?: string; json?: boolean };

const command = new Command('npm run stats --')
  .description('Prints how many messages and row changes history holds, of which events, and how webhooks fared.')
  .option('--channel-id <uuid>', 'only of this configured channel')
  .option('--since <time>', 'from a time on: 2024-01-15T10:30:00Z, or 1h ago')
  .option('--until <time>', 'before a time')
  .option('--json', 'print the answer as the server gives it')
  .option('--token <token>', 'default: an admin token, signed with the stored secret')
  .option('--url <url>', 'default: the server of this folder (HOST, PORT)');

await runTool(command, async ({ config }) => {
  const options = command.opts<StatsOptions>();
  const answer = await readRest(config, options, '/api/realtime/messages/stats', {
    channelId: options.channelId,
    since: timeAgo(options.since),
    until: timeAgo(options.until),
  });
  console.log(options.json ? answer : describe(JSON.parse(answer)).join('\n'));
  return 0;
});

function describe({ totalMessages, whDeliveryRate, topEvents, whAudience, whDelivered }: HistoryStats): string[] {
  const rate = whAudience === 0 ? '' : ` (${(whDeliveryRate * 100).toFixed(1)} %)`;
  const events = topEvents.map(({ eventName, count }) => [eventName, counted(count)]);
  return [
    `messages  ${counted(totalMessages)}`,
    `webhooks  ${counted(whDelivered)} of ${counted(whAudience)} delivered${rate}`,
    ...(events.length === 0 ? [] : ['', ...formatTable(['event', 'messages'], events)]),
  ];
}

function counted(count: number): string {
  return count.toLocaleString('en-US');
}

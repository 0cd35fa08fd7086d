// Owns `npm run teardown`: removes what Rowcast made in a database, after asking. A slot that is forgotten
// holds back WAL until the disk is full, so this is the way to leave.

import { createInterface } from 'node:readline/promises';
import { Command } from 'commander';
import { describePlan, planRemoval, remove } from './teardown/removal-plan.ts';
import { runTool, ToolError } from './tools/tool-arguments.ts';
import { openToolDatabase } from './tools/tool-database.ts';

const command = new Command('npm run teardown --')
  .description('Removes the slot, the publications, the schema realtime with all history, and the policy login.')
  .option('-y, --yes', 'do not ask');

await runTool(command, async ({ config }) => {
  await using database = await openToolDatabase(config);
  const plan = await planRemoval(database.client, config);
  if (plan.schema === 'foreign') console.error('the schema realtime is not of Rowcast and stays as it is');
  const lines = describePlan(plan);
  if (lines.length === 0) {
    console.log('nothing to remove');
    return 0;
  }
  const read = plan.slots.find(({ readerPid }) => readerPid !== null);
  if (read)
    throw new ToolError(`the slot ${read.name} is being read (backend ${read.readerPid}): stop the server first`);
  const { host, port, database: name } = database.client;
  console.log(
    `To be removed from ${name} on ${host}:${port}, for good:\n${lines.map((line) => `  ${line}`).join('\n')}`,
  );
  if (!(await confirmed(command.opts<{ yes?: boolean }>().yes === true))) throw new ToolError('nothing was removed');
  const left = await remove(database.client, plan);
  for (const statement of left)
    console.error(`not removed for lack of rights; run as a superuser, in this database: ${statement}`);
  console.log(
    'Removed. Left: the roles of tokens, the functions of schema auth, replica identities, and publications of other owners.',
  );
  return 0;
});

async function confirmed(yes: boolean): Promise<boolean> {
  if (yes) return true;
  if (!process.stdin.isTTY) throw new ToolError('nobody can be asked here: add --yes');
  const prompt = createInterface({ input: process.stdin, output: process.stdout });
  const answer = await prompt.question('Remove it? [y/N] ');
  prompt.close();
  return /^y(es)?$/i.test(answer.trim());
}

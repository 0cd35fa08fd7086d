// Owns `npm run config`: every setting with its value and where that came from. Secrets stay hidden.

import { Command } from 'commander';
import { formatTable } from './tools/table.ts';
import { runTool } from './tools/tool-arguments.ts';

const command = new Command('npm run config --')
  .description('Prints all settings: flags over environment over file (.env) over default.')
  .option('--about', 'add what each one means')
  .option('--json', 'print JSON');

await runTool(command, async ({ sources }) => {
  const options = command.opts<{ about?: boolean; json?: boolean }>();
  if (options.json) console.log(JSON.stringify(sources, null, 2));
  else if (options.about) {
    for (const { variable, flag, value, source, about } of sources) {
      console.log(`${variable} (${flag}) = ${value || '(not set)'} [${source}]\n    ${about}`);
    }
  } else {
    const rows = sources.map(({ variable, value, source }) => [variable, value || '(not set)', source]);
    console.log(formatTable(['setting', 'value', 'source'], rows).join('\n'));
  }
  return 0;
});

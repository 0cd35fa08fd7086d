// Owns `npm run doctor`: looks at the database as the server would use it, and says what is missing with the
// remedy for each. Code 1 if something stands in the way. Changes nothing.

import { Command } from 'commander';
import { dbaScript } from './doctor/dba-script.ts';
import { describeFinding, type Finding } from './doctor/finding.ts';
import { policyLoginFindings } from './doctor/policy-login-findings.ts';
import { rightsFindings } from './doctor/rights-findings.ts';
import { serverFindings } from './doctor/server-findings.ts';
import { slotFindings } from './doctor/slot-findings.ts';
import { tableFindings } from './doctor/table-findings.ts';
import { runTool } from './tools/tool-arguments.ts';
import { openToolDatabase } from './tools/tool-database.ts';

const command = new Command('npm run doctor --')
  .description(
    'Examines the database: version, settings, rights, slot, publications, channels, watched tables and their policies.',
  )
  .option('--script', 'print a set-up script for a DBA instead')
  .option('--policy-login <name>', 'the login for policies in that script', 'rowcast_policies')
  .option('--json', 'print the findings as JSON');

await runTool(command, async ({ config }) => {
  const options = command.opts<{ script?: boolean; policyLogin: string; json?: boolean }>();
  await using database = await openToolDatabase(config);
  const { client } = database;
  if (options.script) {
    const { rows } = await client.query<{ login: string; name: string }>(
      'select current_user::text as login, current_database()::text as name',
    );
    const [row] = rows;
    console.log(
      dbaScript(config, {
        login: row?.login ?? '',
        database: row?.name ?? '',
        policyLogin: options.policyLogin,
      }),
    );
    return 0;
  }
  const findings: Finding[] = [
    ...(await serverFindings(client)),
    ...(await rightsFindings(client, config)),
    ...(await policyLoginFindings(client, config, database.url)),
    ...(await slotFindings(client, config, database.connect)),
    ...(await tableFindings(client, config, database.url)),
  ];
  const count = (of: Finding['level']): number => findings.filter(({ level }) => level === of).length;
  const problems = count('problem');
  if (options.json) console.log(JSON.stringify(findings, null, 2));
  else {
    for (const finding of findings) console.log(describeFinding(finding).join('\n'));
    console.log(
      problems === 0
        ? `\nnothing stands in the way${count('warning') === 0 ? '' : '; see the warnings (!) where users get nothing'}`
        : `\n${problems} in the way; for a DBA: npm run doctor -- --script`,
    );
  }
  return problems === 0 ? 0 : 1;
});

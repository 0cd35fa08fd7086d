// Owns the order in which the doctor looks at channels and watched tables, to answer "why do I get nothing?".
// Each file beside it finds one kind of reason.

import type { Client } from 'pg';
import type { Config } from '../../server/config/config.ts';
import { quoteLiteral } from '../../server/db/quoting.ts';
import { TableRulesStore } from '../../server/policies/table-rules-store.ts';
import { channelFindings } from './channel-findings.ts';
import { type Examining, openExamining } from './examining.ts';
import type { Finding } from './finding.ts';
import { readPolicyNeeds, readSystemColumnUses } from './policy-need.ts';
import { isKnownToRaise, type KnownFaults, policyNeedFindings } from './policy-need-findings.ts';
import { policyTrialFindings } from './policy-trial-findings.ts';
import { publishingFindings } from './publishing-findings.ts';
import { readerFindings } from './reader-findings.ts';
import { readWatchedTables, schemaState, type WatchedTable } from './watched-table.ts';

/** Nothing before the schema exists. `databaseUrl` is how `client` connected. */
export async function tableFindings(client: Client, config: Config, databaseUrl: string): Promise<Finding[]> {
  const schema = await schemaState(client);
  if (schema === 'absent') return [];
  if (schema === 'closed') return [unexamined('the schema is of another release, or not open to this login', CLOSED)];
  await using examining = await openExamining(client, config, databaseUrl);
  // The server refuses such a connection too, and the findings about it say why.
  const refusal = await examining.main.query('select').then(
    () => undefined,
    (error: Error) => error.message,
  );
  if (refusal !== undefined) return [unexamined(refusal, 'connect directly to PostgreSQL')];
  return [
    ...(await channelFindings(examining, config.auth.roles)),
    ...(await watchedTableFindings(client, config, examining)),
  ];
}

async function watchedTableFindings(client: Client, config: Config, examining: Examining): Promise<Finding[]> {
  const { roles } = config.auth;
  const { tables, lost } = await readWatchedTables(client, roles);
  if (tables.length + lost.length === 0) {
    const message = 'no table is watched yet';
    return [{ level: 'note', topic: 'tables', message, remedy: "select realtime.watch('public.posts');" }];
  }
  const oids = tables.map(({ oid }) => oid);
  const rules = await new TableRulesStore(examining.main, roles).read(oids);
  const faults: KnownFaults = {
    needs: await readPolicyNeeds(client, oids, roles),
    systemColumns: await readSystemColumnUses(client, oids),
  };
  const findings = lost.map(judgeLost);
  for (const table of tables) {
    const ofTable = rules.get(table.oid);
    // Dropped a moment ago.
    if (ofTable === undefined) continue;
    findings.push(
      ...publishingFindings(table, ofTable, config.replication.publication),
      ...readerFindings(table, ofTable),
      ...policyNeedFindings(table, ofTable, faults),
      ...(await policyTrialFindings(examining, table, ofTable, knownOf(table, faults))),
    );
  }
  return findings;
}

function knownOf({ oid }: WatchedTable, faults: KnownFaults): (policy: string, role: string) => boolean {
  return (policy, role) => isKnownToRaise(faults, oid, policy, role);
}

function judgeLost(pattern: string): Finding {
  const message = `${pattern} is watched, but there is no such table`;
  const remedy = 'create it again, or delete the channel';
  const sql = [`delete from realtime.channels where pattern = ${quoteLiteral(pattern)};`];
  return { level: 'warning', topic: `channel ${pattern}`, message, remedy, sql };
}

const CLOSED = 'start the server of this release once, and run the doctor as its login';

function unexamined(reason: string, remedy: string): Finding {
  const message = `could not be examined: ${reason}`;
  return { level: 'warning', topic: 'tables', message, remedy };
}

// Owns the trial of policies on some rows of a watched table: each policy of each role by itself, through the
// judge that the server asks, with the claims of a user who does not exist. Reads only.

import { randomUUID } from 'node:crypto';
import type { Pool } from 'pg';
import { quoteIdentifier } from '../../server/db/quoting.ts';
import { classifyDatabaseError } from '../../server/db/sqlstate.ts';
import { textArrayLiteral } from '../../server/policies/array-literal.ts';
import { imageStatement } from '../../server/policies/image-statement.ts';
import type { JudgeCall, JudgeRequest } from '../../server/policies/judge-call.ts';
import { type AskedCondition, policyCondition } from '../../server/policies/row-condition.ts';
import { mayRead, type PolicyRule, type TableRules } from '../../server/policies/table-rules.ts';
import { type Examining, PATIENCE_MS } from './examining.ts';
import type { Finding } from './finding.ts';
import type { WatchedTable } from './watched-table.ts';

type Trial = { readonly role: string; readonly policy: string; readonly condition: AskedCondition };
type Sample = { readonly columns: readonly string[]; readonly literals: readonly string[] };
type Raised = { readonly sqlstate: string; readonly message: string; readonly rows: number };
type Result = Raised | 'answers' | 'late' | 'not taken';
type Tried = Trial & { readonly result: Result };
type Told = Omit<Finding, 'topic'>;

const ROWS = 20;

/** `isKnown` leaves out a policy of a role about which something was found already. */
export async function policyTrialFindings(
  { main, judge }: Examining,
  table: WatchedTable,
  rules: TableRules,
  isKnown: (policy: string, role: string) => boolean,
): Promise<Finding[]> {
  const trials = trialsOf(rules).filter(({ policy, role }) => !isKnown(policy, role));
  if (trials.length === 0) return [];
  const findings = await tryAll(main, judge, table, rules, trials).catch((error: unknown) => [untried(error)]);
  return findings.map((finding) => ({ topic: `table ${table.name}`, ...finding }));
}

function trialsOf(rules: TableRules): Trial[] {
  const carried = new Set([...rules.columns.values()].filter(({ generated }) => !generated).map(({ name }) => name));
  return [...rules.roles].flatMap(([role, ofRole]) => {
    if (!mayRead(ofRole) || !ofRole.isBound) return [];
    return ofRole.policies.flatMap((policy) => {
      const alone: PolicyRule = { ...policy, isPermissive: true };
      const condition = policyCondition(rules, { ...ofRole, policies: [alone] }, carried);
      return condition.kind === 'ask' ? [{ role, policy: policy.name, condition }] : [];
    });
  });
}

async function tryAll(
  main: Pool,
  judge: JudgeCall | null,
  table: WatchedTable,
  rules: TableRules,
  trials: readonly Trial[],
): Promise<Told[]> {
  if (judge === null) {
    const message = 'its policies could not be tried: the first start of the server makes the login for them';
    return [{ level: 'note', message, remedy: 'start the server once' }];
  }
  const needed = [...new Set(trials.flatMap(({ condition }) => [...condition.needed]))];
  const sample = { columns: needed, literals: await readRows(main, table, needed) };
  if (sample.literals.length === 0) {
    return [{ level: 'note', message: 'is empty, so its policies could not be tried' }];
  }
  const tried: Tried[] = [];
  for (const trial of trials) tried.push({ ...trial, result: await tryOne(judge, rules, sample, trial) });
  return told(tried, sample.literals.length);
}

/** As array literals of exact texts. Rejects where the login may not read all rows: a filtered sample says little. */
async function readRows(main: Pool, { relation }: WatchedTable, columns: readonly string[]): Promise<string[]> {
  const client = await main.connect();
  let isEnded = false;
  try {
    await client.query('begin read only; set local row_security = off');
    const texts = columns.map((name) => `(t.${quoteIdentifier(name)})::text`).join(', ');
    const sql = `select array[${texts}]::text[] as texts from ${relation} as t limit ${ROWS}`;
    const { rows } = await client.query<{ texts: (string | null)[] }>(sql);
    await client.query('rollback');
    isEnded = true;
    return rows.map(({ texts: row }) => textArrayLiteral(row));
  } finally {
    client.release(!isEnded);
  }
}

async function tryOne(
  judge: JudgeCall,
  rules: TableRules,
  sample: Sample,
  { role, condition }: Trial,
): Promise<Result> {
  const request = requestOf(rules, sample, role, condition);
  const answer = await judge.ask(request).catch((error: unknown) => {
    if (classifyDatabaseError(error).kind === 'query_cancelled') return 'late' as const;
    throw error;
  });
  if (answer === 'late') return 'late';
  if (answer.state !== 'ok' || answer.failures.some(({ entry }) => entry === 0)) return 'not taken';
  const [first] = answer.failures;
  if (first === undefined) return 'answers';
  return { ...first, rows: first.row === 0 ? sample.literals.length : answer.failures.length };
}

// The first question is nothing but whether the role can be taken.
function requestOf(rules: TableRules, sample: Sample, role: string, condition: AskedCondition): JudgeRequest {
  const places = sample.columns.map((name) => (condition.needed.has(name) ? name : null));
  const claims = JSON.stringify({ role, sub: randomUUID() });
  return {
    xids: [],
    relids: [],
    fingerprints: null,
    sets: [sample.literals],
    statements: [
      { sql: imageStatement(rules, [], 'true'), set: 0 },
      { sql: imageStatement(rules, places, condition.sql, condition.computed), set: 0 },
    ],
    identities: [{ role, claims, channelName: '' }],
    entries: [0, 1].map((statement) => ({ identity: 0, statement, isSuspect: false })),
    budgetMs: PATIENCE_MS,
  };
}

// That a role cannot be taken is told with the policy login.
function told(tried: readonly Tried[], rows: number): Told[] {
  const faults = Map.groupBy(tried, ({ policy, result }) => faultOf(policy, result, rows));
  const findings = [...faults].flatMap(([fault, same]) =>
    fault === undefined ? [] : [faultFinding(fault, same.map(({ role }) => role).join(', '))],
  );
  if (findings.length > 0 || tried.every(({ result }) => result === 'not taken')) return findings;
  return [{ level: 'ok', message: `its policies answer for the ${counted(rows)} tried` }];
}

function counted(rows: number): string {
  return rows === 1 ? '1 row' : `${rows} rows`;
}

/** As a sentence to which the roles are added. */
function faultOf(policy: string, result: Result, rows: number): string | undefined {
  if (result === 'answers' || result === 'not taken') return undefined;
  if (result === 'late') return `policy ${policy} gives no answer for ${counted(rows)} within ${PATIENCE_MS / 1000} s`;
  return `policy ${policy} raises on ${result.rows} of ${counted(rows)} tried (${result.sqlstate} ${result.message})`;
}

function faultFinding(fault: string, roles: string): Told {
  return { level: 'warning', message: `${fault}, for ${roles}`, remedy: REMEDY };
}

const REMEDY =
  'such rows are withheld: let it answer false or null instead of an error, and soon. ' +
  'It was tried with the claims role and sub (a random uuid): those of real users may differ';

function untried(error: unknown): Told {
  const { message } = classifyDatabaseError(error);
  const remedy = 'run the doctor as a login that may read the table, after the server was started once';
  return { level: 'note', message: `its policies could not be tried: ${message}`, remedy };
}

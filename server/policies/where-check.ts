// Owns whether a `where` can be asked of a table, once, when it is subscribed to: columns that exist and may be
// read, operators that their types have, and literals that the database reads. Messages show what the client
// wrote and nothing of the database; a column that may not be read is one that does not exist, and neither
// runs a statement.

import { classifyDatabaseError, mayPass } from '../db/sqlstate.ts';
import { leavesOf, shown, type Where, type WhereLeaf, type WhereValue } from '../protocol/where.ts';
import { imageStatement } from './image-statement.ts';
import type { JudgeAnswer, JudgeFailure, JudgeIdentity, JudgeRequest } from './judge-call.ts';
import type { ColumnRule, TableRules } from './table-rules.ts';
import { leafSql, literalSql } from './where-sql.ts';

export type WhereQuestion = {
  readonly where: Where;
  readonly rules: Pick<TableRules, 'name' | 'columns'>;
  /** Columns that the identity may SELECT; null for all. */
  readonly granted: ReadonlySet<string> | null;
  readonly identity: JudgeIdentity;
};

export interface WhereJudge {
  ask(request: JudgeRequest): Promise<JudgeAnswer>;
}

/** Reading at most 64 leaves takes a few milliseconds. */
const BUDGET_MS = 1_000;
/** Types whose literals are names of tables, roles and the like: reading one tells whether that exists. */
const NAMES_OBJECTS = /^(pg_catalog\.)?reg/;
/** Arrays and ranges of dates and times; these themselves are category D. */
const HOLDS_TIMES = /date|time|ts(tz)?(multi)?range/;
/** Words that Postgres reads as another instant at each reading. */
const MOVING_TIME = /now|today|tomorrow|yesterday/i;

/**
 * What is wrong with `where`, for whoever wrote it; undefined where it can be asked. Rejects when the database
 * cannot be asked.
 */
export async function checkWhere(judge: WhereJudge, question: WhereQuestion): Promise<string | undefined> {
  const { where, rules, granted } = question;
  const fault = whereFault(where, rules, granted);
  if (fault !== undefined) return fault;
  const leaves = leavesOf(where).filter(({ kind }) => kind !== 'is');
  if (leaves.length === 0) return undefined;
  const answer = await judge.ask(probe(leaves, question));
  if (answer.state !== 'ok') throw new Error(`a where could not be checked: ${answer.state}`);
  const [failure] = answer.failures;
  if (failure !== undefined) return explain(failure, leaves[failure.entry] as WhereLeaf);
  if (answer.hits.length < leaves.length) throw new Error('a where could not be checked in time');
  return undefined;
}

/** What is wrong with `where` by what is known of the table; undefined for nothing. */
export function whereFault(
  where: Where,
  { columns }: Pick<TableRules, 'columns'>,
  granted: ReadonlySet<string> | null,
): string | undefined {
  const leaves = leavesOf(where);
  // All names first: what is said about the columns that may be read must not depend on the others.
  for (const { column } of leaves) {
    if (!columns.has(column) || granted?.has(column) === false) return `where: column ${shown(column)} does not exist`;
  }
  for (const leaf of leaves) {
    const fault = leafFault(leaf, columns.get(leaf.column) as ColumnRule);
    if (fault !== undefined) return `where: column ${shown(leaf.column)} ${fault}`;
  }
  return undefined;
}

function leafFault(leaf: WhereLeaf, column: ColumnRule): string | undefined {
  if (leaf.kind === 'is') {
    const isBoolean = leaf.what === 'true' || leaf.what === 'false';
    return isBoolean && column.category !== 'B' ? `is no boolean; "is": ${leaf.what} needs one` : undefined;
  }
  if (!column.isOrdered || NAMES_OBJECTS.test(column.literalType)) return 'can only be filtered with "is"';
  if (leaf.kind === 'like') return column.category === 'S' ? undefined : `holds no text; ${operatorOf(leaf)} needs one`;
  for (const value of valuesOf(leaf)) {
    const fault = valueFault(value, column);
    if (fault !== undefined) return fault;
  }
  return undefined;
}

function valueFault(value: WhereValue, { category, literalType }: ColumnRule): string | undefined {
  if (Array.isArray(value) && category !== 'A') return 'holds no arrays; use {"in": […]} for one of several values';
  const holdsTimes = category === 'D' || (/[AR]/.test(category) && HOLDS_TIMES.test(literalType));
  if (holdsTimes && MOVING_TIME.test(JSON.stringify(value))) return `takes a fixed time, and no ${shown(value)}`;
  return undefined;
}

// Each leaf is a statement of its own, so that its failure names it.
function probe(leaves: readonly WhereLeaf[], { rules, identity }: WhereQuestion): JudgeRequest {
  const statements = leaves.map((leaf) => {
    const column = rules.columns.get(leaf.column) as ColumnRule;
    return { sql: imageStatement(rules, [], leafSql(leaf, column, operandFor(leaf, column))), set: 0 };
  });
  const entries = leaves.map((_, statement) => ({ identity: 0, statement, isSuspect: false }));
  const nothing = { xids: [], relids: [], fingerprints: null };
  return {
    ...nothing,
    sets: [['{}']],
    statements,
    identities: [identity],
    entries,
    budgetMs: BUDGET_MS,
  };
}

// The literal itself stands for the column, because some faults only show when values meet: LIKE under a
// collation that does not have it, arrays and rows whose parts cannot be compared. Type and collation are the
// column's: the branch that is never taken gives them, whatever NOT NULL or CHECK a domain has.
function operandFor(leaf: WhereLeaf, column: ColumnRule): string {
  const [first = ''] = valuesOf(leaf);
  const collation = column.collation === null ? '' : ` collate ${column.collation}`;
  return `(case when false then (null::${column.type})${collation} else ${literalSql(first, column)} end)`;
}

function valuesOf(leaf: WhereLeaf): readonly WhereValue[] {
  if (leaf.kind === 'compare') return [leaf.value];
  return leaf.kind === 'in' ? leaf.values : [];
}

function operatorOf(leaf: WhereLeaf): string {
  if (leaf.kind === 'compare') return leaf.operator;
  return leaf.kind === 'like' && leaf.ignoresCase ? 'ilike' : leaf.kind;
}

// Never Postgres's own text: it names types, and labels of others.
function explain({ row, sqlstate }: JudgeFailure, leaf: WhereLeaf): string {
  const { kind } = classifyDatabaseError({ code: sqlstate });
  // Row 0: not the statement failed, but whatever comes before it.
  if (row === 0 || mayPass(kind) || kind === 'server_broken') {
    throw new Error(`a where could not be checked: ${sqlstate}`);
  }
  const column = `where: column ${shown(leaf.column)}`;
  if (kind !== 'data_exception') return `${column} cannot be filtered with ${operatorOf(leaf)}`;
  return leaf.kind === 'compare'
    ? `${column} takes no value ${shown(leaf.value)}`
    : `${column} takes no such value in ${operatorOf(leaf)}`;
}

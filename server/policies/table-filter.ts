// Owns the reading of `where` and `columns` of a subscription to a table, for whoever was allowed, and whether
// they still may be asked later on. A column that may not be read is one that does not exist, in all texts.

import type { Identity } from '../auth/identity.ts';
import { classifyDatabaseError, mayPass } from '../db/sqlstate.ts';
import type { FilterFrame } from '../protocol/client-frame.ts';
import type { Refusal } from '../protocol/error-codes.ts';
import { columnsOf, parseWhere, shown } from '../protocol/where.ts';
import { makeTableFilter, type TableFilter } from './row-filter.ts';
import type { RowFilterResult } from './subscribe-decision.ts';
import type { TableRules } from './table-rules.ts';
import { checkWhere, type WhereJudge, type WhereQuestion } from './where-check.ts';

/** Reads both; what is wrong with them is a `bad_filter` refusal, a database that cannot be asked `unavailable`. */
export async function readTableFilter(
  judge: WhereJudge,
  identity: Identity,
  rules: TableRules,
  { where: json, columns }: FilterFrame,
): Promise<RowFilterResult> {
  const granted = grantedColumns(identity, rules);
  const parsed = json === undefined ? undefined : parseWhere(json);
  if (parsed?.ok === false) return badFilter(parsed.message);
  const unknown = columns?.find((name) => !isReadable(name, rules, granted));
  if (unknown !== undefined) return badFilter(`columns: column ${shown(unknown)} does not exist`);
  const where = parsed?.where ?? null;
  if (where !== null) {
    const fault = await faultOf(judge, { where, rules, granted, identity: askerOf(identity, rules) });
    if (fault !== undefined) return { ok: false, refusal: fault };
  }
  return { ok: true, filter: makeTableFilter(where, columns ?? null) };
}

/**
 * Whether `identity` may still ask this filter of the table. A `where` on a column that was taken away would tell
 * its values; wanted columns that were taken away are only left out.
 */
export function mayFilterBy(identity: Identity, rules: TableRules, filter: TableFilter | null): boolean {
  if (filter === null || filter.where === null) return true;
  const granted = grantedColumns(identity, rules);
  return [...columnsOf(filter.where)].every((name) => isReadable(name, rules, granted));
}

function grantedColumns({ isAdmin, role }: Identity, rules: TableRules): ReadonlySet<string> | null {
  if (isAdmin) return null;
  const ofRole = rules.roles.get(role);
  return ofRole === undefined ? NONE : ofRole.columns;
}

const NONE: ReadonlySet<string> = new Set();

function isReadable(name: string, { columns }: TableRules, granted: ReadonlySet<string> | null): boolean {
  return columns.has(name) && (granted === null || granted.has(name));
}

async function faultOf(judge: WhereJudge, question: WhereQuestion): Promise<Refusal | undefined> {
  try {
    const message = await checkWhere(judge, question);
    return message === undefined ? undefined : { code: 'bad_filter', message };
  } catch (error) {
    const { kind } = classifyDatabaseError(error);
    if (!mayPass(kind)) throw error;
    return { code: 'unavailable', message: 'The filter cannot be checked at the moment' };
  }
}

// As at delivery: under the role, which may use the types of its columns; where it is never taken, as the policy
// login, which may read nothing. Without claims: a filter has none.
function askerOf({ isAdmin, role }: Identity, { roles }: TableRules): WhereQuestion['identity'] {
  const isTaken = !isAdmin && roles.get(role)?.isTakeable === true;
  return { role: isTaken ? role : null, claims: '{}', channelName: '', timeZone: 'UTC' };
}

function badFilter(message: string): RowFilterResult {
  return { ok: false, refusal: { code: 'bad_filter', message } };
}

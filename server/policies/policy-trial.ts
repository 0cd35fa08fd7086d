// Owns the trial of each policy by itself, on one row image, under one identity: which of them lets the row
// through, which does not, and which raises what. For explaining; a decision asks the table itself.

import { classifyDatabaseError } from '../db/sqlstate.ts';
import { textArrayLiteral } from './array-literal.ts';
import { imageStatement } from './image-statement.ts';
import type { JudgeAnswer, JudgeIdentity, JudgeRequest } from './judge-call.ts';
import type { AppliedPolicy } from './permission-store.ts';
import type { TableRules } from './table-rules.ts';

export type RowImage = {
  readonly rules: Pick<TableRules, 'name' | 'columns'>;
  /** Exact texts by column. */
  readonly texts: ReadonlyMap<string, string | null>;
};

export type TriedPolicy = {
  readonly policyName: string;
  readonly permissive: boolean;
  readonly result: 'passes' | 'fails' | 'raises';
  readonly sqlstate?: string;
  readonly message?: string;
};

const BUDGET_MS = 2_000;

type ImageJudge = { ask(request: JudgeRequest): Promise<JudgeAnswer> };

/** Tries each of `policies`; one that takes too long raises. Rejects when the database cannot be asked. */
export async function tryPolicies(
  judge: ImageJudge,
  policies: readonly AppliedPolicy[],
  image: RowImage,
  identity: JudgeIdentity,
): Promise<readonly TriedPolicy[]> {
  if (policies.length === 0) return [];
  try {
    return await tryTogether(judge, policies, image, identity);
  } catch (error) {
    if (classifyDatabaseError(error).kind !== 'query_cancelled') throw error;
    if (policies.length === 1) return policies.map(tooSlow);
    const tried: TriedPolicy[] = [];
    for (const policy of policies) tried.push(...(await tryPolicies(judge, [policy], image, identity)));
    return tried;
  }
}

async function tryTogether(
  judge: ImageJudge,
  policies: readonly AppliedPolicy[],
  { rules, texts }: RowImage,
  identity: JudgeIdentity,
): Promise<readonly TriedPolicy[]> {
  const places = [...texts.keys()];
  const answer = await judge.ask({
    xids: [],
    relids: [],
    fingerprints: null,
    sets: [[textArrayLiteral([...texts.values()])]],
    statements: policies.map(({ expression }) => ({ sql: imageStatement(rules, places, expression), set: 0 })),
    identities: [identity],
    entries: policies.map((_, statement) => ({ identity: 0, statement, isSuspect: false })),
    budgetMs: BUDGET_MS,
  });
  if (answer.state !== 'ok') throw new Error(`bug: the policies could not be tried: ${answer.state}`);
  return policies.map((policy, index) => triedOf(policy, index, answer));
}

function tooSlow({ name, isPermissive }: Pick<AppliedPolicy, 'name' | 'isPermissive'>): TriedPolicy {
  return {
    policyName: name,
    permissive: isPermissive,
    result: 'raises',
    sqlstate: '57014',
    message: 'took too long and was cancelled',
  };
}

function triedOf(
  { name, isPermissive }: AppliedPolicy,
  index: number,
  { hits, failures }: Extract<JudgeAnswer, { state: 'ok' }>,
): TriedPolicy {
  const about = { policyName: name, permissive: isPermissive };
  const failure = failures.find(({ entry }) => entry === index);
  if (failure !== undefined) {
    return { ...about, result: 'raises', sqlstate: failure.sqlstate, message: failure.message };
  }
  const hit = hits[index];
  if (hit === undefined) return tooSlow({ name, isPermissive });
  return { ...about, result: hit === 'all' || hit.length > 0 ? 'passes' : 'fails' };
}

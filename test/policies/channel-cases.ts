// Owns the small things that tests of channel policies are made of: identities, channels, rules of a table.

import type { Identity } from '../../server/auth/identity.ts';
import { makeIdentity } from '../../server/auth/make-identity.ts';
import type { TableFacts } from '../../server/policies/channel-decision.ts';
import type { PolicyRule, RoleRules, TableRules } from '../../server/policies/table-rules.ts';
import { type ParsedChannel, parseChannelName } from '../../server/protocol/channel-name.ts';

export function identityOf(role: string, claims: object = {}): Identity {
  return makeIdentity({ role, isAdmin: role === 'service_role', claims: { ...claims } });
}

export function parsed(name: string): ParsedChannel {
  const result = parseChannelName(name);
  if (!result.ok) throw new Error(result.refusal.message);
  return result.channel;
}

export const WATCHED: TableFacts = {
  oid: 1,
  isWatched: true,
  isComplete: true,
  identityGap: null,
  isFull: true,
  watch: '1 now',
};

export function policyRule(isPermissive: boolean): PolicyRule {
  return { name: 'p', isPermissive, using: 'true', columns: [], readsWholeRow: false };
}

/** A table with the columns `id` and `hidden`, of which `authenticated` has the rules `role`. */
export function rulesOf(role: Partial<RoleRules> = {}): TableRules {
  const column = { typeOid: 23, type: 'pg_catalog.int4', literalType: 'pg_catalog.int4', category: 'N' };
  const names = ['id', 'hidden'];
  const rule = { isOrdered: true, collation: null, isPrimaryKey: false, isIdentity: false, generated: null };
  return {
    oid: 1,
    schema: 'public',
    name: 'posts',
    columns: new Map(names.map((name) => [name, { name, ...column, ...rule }])),
    roles: new Map([['authenticated', { columns: null, isBound: false, isTakeable: true, policies: [], ...role }]]),
    fingerprint: '1',
  };
}

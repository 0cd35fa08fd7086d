// Owns who gets a change: which groups of a channel may see the rows of a table. Asked once per table
// version and role, never per subscriber or row. Row policies come in here; until then a table with row
// security is for admins alone.

import type { Group } from '../hub/subscription.ts';
import type { TableAccess } from '../policies/table-access.ts';
import type { Relation } from '../replication/relation.ts';

export type Audience = {
  /** Whether the members of `group` may see rows of the relation. */
  sees(group: Group): boolean;
};

/**
 * Decides for one table version. `xid` is the transaction whose rows are judged: the answer is read in a
 * snapshot that contains it (traps of Postgres, rule 2). An error denies all but admins.
 */
export async function audienceOf(access: TableAccess, relation: Relation, xid: number): Promise<Audience> {
  const roles = await access.rolesThatSeeAll(relation, xid);
  return { sees: (group) => group.spec.identity.isAdmin || roles.has(group.spec.identity.role) };
}

export const ADMINS_ONLY: Audience = { sees: (group) => group.spec.identity.isAdmin };

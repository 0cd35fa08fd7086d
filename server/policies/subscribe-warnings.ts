// Owns what a subscription is told that it will not get, although it was allowed. A warning speaks of the
// table in general: only admins are told names, because partitions, columns and policies may be none of a
// user's business.

import type { Identity } from '../auth/identity.ts';
import type { Warning } from '../protocol/server-frame.ts';
import type { TableRules } from './table-rules.ts';

/** Whoever reads the table. */
export type Viewer = Pick<Identity, 'role' | 'isAdmin'>;

/** What the channels room knows of how changes of the table are published. */
export type Published = {
  /** Why UPDATE and DELETE are not published; null where they are. */
  readonly identityGap: string | null;
  /** Old images are whole. */
  readonly isFull: boolean;
};

/** What `viewer` is told at once. */
export function tableWarnings(viewer: Viewer, rules: TableRules, published: Published): readonly Warning[] {
  return [insertsOnly(viewer, published), noPolicy(viewer, rules), notFull(viewer, rules, published)].flat();
}

/** What a `where` adds, if it was not said already. */
export function whereWarnings(published: Published, told: readonly Warning[]): readonly Warning[] {
  if (published.isFull || published.identityGap !== null) return [];
  return told.some(({ code }) => code === NOT_FULL.code) ? [] : [NOT_FULL];
}

const NOT_FULL: Warning = {
  code: 'identity_not_full',
  message:
    'The replica identity of the table is not FULL: rows that come into view or leave it by an UPDATE are not told, ' +
    'and a DELETE comes only where the key alone decides',
};

const NO_POLICY: Warning = {
  code: 'no_policy',
  message: 'Row security is on, and no permissive SELECT policy applies to the role: nothing will come',
};

function insertsOnly({ isAdmin }: Viewer, { identityGap }: Published): Warning[] {
  if (identityGap === null) return [];
  const reason = isAdmin ? identityGap : 'the table has no replica identity';
  return [{ code: 'inserts_only', message: `Only INSERT and TRUNCATE are delivered: ${reason}` }];
}

function noPolicy(viewer: Viewer, rules: TableRules): Warning[] {
  return isBound(viewer, rules) && !hasPermissive(viewer, rules) ? [NO_POLICY] : [];
}

function notFull(viewer: Viewer, rules: TableRules, { isFull, identityGap }: Published): Warning[] {
  if (isFull || identityGap !== null) return [];
  return isBound(viewer, rules) && hasPermissive(viewer, rules) ? [NOT_FULL] : [];
}

function isBound({ isAdmin, role }: Viewer, { roles }: TableRules): boolean {
  return !isAdmin && (roles.get(role)?.isBound ?? true);
}

function hasPermissive({ role }: Viewer, { roles }: TableRules): boolean {
  return roles.get(role)?.policies.some(({ isPermissive }) => isPermissive) ?? false;
}

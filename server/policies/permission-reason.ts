// Owns the reasons that a permission check answers with: stable codes, a sentence for each, and which of them
// follows from grants and tried policies. Pure.

import type { RoleRights } from './permission-store.ts';
import type { TriedPolicy } from './policy-trial.ts';

export const REASONS = {
  allowed: 'The policies allow it',
  admin: 'Admins are not asked: the role is in ROWCAST_ADMIN_ROLES',
  no_channel: 'No row of realtime.channels matches the name',
  channel_disabled: 'The row of realtime.channels that decides about the name is disabled',
  not_watched: 'The table does not exist or is not watched',
  reserved_name: 'The name of the channel or of the event is reserved',
  not_persisted: 'The channel has persist = false: SQL cannot publish to it',
  role_missing: 'The role does not exist in the database',
  no_grant: 'The role lacks a grant on the table that is asked',
  no_policy: 'No permissive policy applies to the role: access is closed by default',
  policy_denies: 'None of the permissive policies passes',
  restrictive_policy: 'A restrictive policy does not pass',
  policy_raises: 'A policy raises an error, and an error denies',
  no_table_grant: 'The role may not SELECT any column of the table',
  undecided: 'The policies did not answer in time',
  denied: 'The database refuses it although each policy by itself would not',
} as const;

export type Reason = keyof typeof REASONS;

/** Why grants and policies deny; undefined where they do not. `tried` is in the order of names, as Postgres asks them. */
export function findDenial(rights: RoleRights, tried: readonly TriedPolicy[]): Reason | undefined {
  if (!rights.exists) return 'role_missing';
  if (!rights.isGranted) return 'no_grant';
  if (!rights.isBound) return undefined;
  const permissive = tried.filter((policy) => policy.permissive);
  if (permissive.length === 0) return 'no_policy';
  // Joined by OR: the first that does not just say no decides.
  const decisive = permissive.find(({ result }) => result !== 'fails');
  if (decisive === undefined) return 'policy_denies';
  const restrictive = tried.filter((policy) => !policy.permissive);
  if ([decisive, ...restrictive].some(({ result }) => result === 'raises')) return 'policy_raises';
  return restrictive.some(({ result }) => result === 'fails') ? 'restrictive_policy' : undefined;
}

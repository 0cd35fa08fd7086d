// Owns the findings about channels: whether any policy lets the roles of ROWCAST_ROLES subscribe, that is SELECT
// from realtime.channels, and publish, that is INSERT into realtime.messages. What one says depends on claims.

import { type Action, PermissionStore, type RoleRights } from '../../server/policies/permission-store.ts';
import type { Examining } from './examining.ts';
import { type Finding, quoteName } from './finding.ts';

type RightsOf = { readonly role: string; readonly rights: RoleRights };

const TABLES = { subscribe: 'realtime.channels', publish: 'realtime.messages' } as const;
const GRANTS = {
  subscribe: 'select (id, pattern, description, enabled, persist, retention_days, created_at, updated_at)',
  publish: 'insert (id, channel_name, event_name, payload)',
} as const;
const EXAMPLES = {
  subscribe: (roles: string) =>
    `create policy tables on realtime.channels for select to ${roles} using (realtime.channel_name() like 'db:%');`,
  publish: (roles: string) =>
    `create policy own on realtime.messages for insert to ${roles} with check (realtime.channel_name() = 'user:' || auth.uid());`,
} as const;

/** `roles` is ROWCAST_ROLES. */
export async function channelFindings({ main }: Examining, roles: readonly string[]): Promise<Finding[]> {
  const store = new PermissionStore(main);
  const findings: Finding[] = [];
  for (const action of ['subscribe', 'publish'] as const) {
    const asked: RightsOf[] = [];
    for (const role of roles) asked.push({ role, rights: await store.rights(action, role) });
    findings.push(
      ...judge(
        action,
        asked.filter(({ rights }) => rights.exists),
      ),
    );
  }
  return findings;
}

function judge(action: Action, asked: readonly RightsOf[]): Finding[] {
  const granted = asked.filter(({ rights }) => rights.isGranted);
  const open = granted.filter(({ rights }) => isOpen(rights));
  const closed = granted.filter(({ rights }) => !isOpen(rights));
  return [
    ...noGrant(
      action,
      asked.filter(({ rights }) => !rights.isGranted),
    ),
    ...noPolicy(action, closed, open.length === 0),
    ...may(action, open),
  ];
}

function isOpen({ isBound, policies }: RoleRights): boolean {
  return !isBound || policies.some(({ isPermissive }) => isPermissive);
}

function noGrant(action: Action, asked: readonly RightsOf[]): Finding[] {
  if (asked.length === 0) return [];
  const roles = listed(asked);
  const message = `${names(asked)} may not ${action}: it lacks the grant on ${TABLES[action]}, which the server gives once`;
  const sql = [
    `grant usage on schema realtime to ${roles};`,
    `grant ${GRANTS[action]} on ${TABLES[action]} to ${roles};`,
  ];
  return [{ level: 'note', topic: action, message, remedy: 'if they should:', sql }];
}

/** Whoever no policy applies to; all of them, that is only admins are left. */
function noPolicy(action: Action, closed: readonly RightsOf[], isAll: boolean): Finding[] {
  if (closed.length === 0) return [];
  const command = action === 'subscribe' ? 'SELECT' : 'INSERT';
  const effect = isAll ? `nobody but admins may ${action}` : `it may not ${action}`;
  const message = `no ${command} policy on ${TABLES[action]} applies to ${names(closed)}: ${effect}`;
  return [
    {
      level: isAll && action === 'subscribe' ? 'warning' : 'note',
      topic: action,
      message,
      remedy: 'write one (examples/policies.sql), for example',
      sql: [EXAMPLES[action](listed(closed))],
    },
  ];
}

function may(action: Action, open: readonly RightsOf[]): Finding[] {
  return open.map(({ role, rights: { isBound, policies } }) => {
    const permissive = policies.filter(({ isPermissive }) => isPermissive).map(({ name }) => name);
    const where = isBound ? `where ${permissive.join(' or ')} passes` : 'everywhere: policies do not bind it';
    return { level: 'ok', topic: action, message: `${role} may ${action} ${where}` };
  });
}

function names(asked: readonly RightsOf[]): string {
  return asked.map(({ role }) => role).join(', ');
}

function listed(asked: readonly RightsOf[]): string {
  return asked.map(({ role }) => quoteName(role)).join(', ');
}

// Owns who subscribes in a case: users of several roles with claims of every sort, more than ten of one role,
// and what each wants of each table.

import { mintFor } from '../../scripts/tools/mint.ts';
import type { SecretConfig } from '../../server/config/stored-secret.ts';
import { TEAMS, TENANTS, USERS } from './column-kind.ts';
import type { Dice } from './dice.ts';
import type { OracleTable } from './oracle-table.ts';
import type { Member, SubscriberFilter } from './subscriber.ts';
import { makeWhere } from './where-filter.ts';

const HOUR_MS = 3_600_000;
const EVENTS = ['INSERT', 'UPDATE', 'DELETE', 'TRUNCATE'];

/** The witness first; then anon, more than ten of authenticated, and those that inherit. */
export function makeMembers(dice: Dice, config: SecretConfig): Member[] {
  const roles = ['anon', 'anon', ...Array.from({ length: 11 }, () => 'authenticated'), 'oracle_lead', 'oracle_lead'];
  // Two of them are the same user, with filters of their own.
  const claims = roles.map(() => makeClaims(dice));
  claims[3] = claims[2] as object;
  const witness = member(config, 'witness', 'service_role', { sub: 'witness' }, true);
  return [
    witness,
    ...roles.map((role, index) => member(config, `user ${index}`, role, claims[index] as object, false)),
  ];
}

function member(config: SecretConfig, name: string, role: string, claims: object, isAdmin: boolean): Member {
  const { sub, ...more } = claims as { sub: string };
  return {
    name,
    role,
    isAdmin,
    claims: { ...claims, role },
    token: mintFor(config, { role, sub, claims: more, expiresInMs: HOUR_MS }),
  };
}

/** The same user with other claims. */
export function renewed(dice: Dice, config: SecretConfig, { name, role, claims }: Member): Member {
  const { sub } = claims as { sub: string };
  return member(config, name, role, { ...makeClaims(dice), sub }, false);
}

function makeClaims(dice: Dice): object {
  return {
    sub: dice.chance(0.9) ? dice.pick(USERS) : dice.pick(["o'brien", '"', 'no-uuid']),
    ...(dice.chance(0.9) ? { tenant: dice.chance(0.9) ? dice.pick(TENANTS) : null } : {}),
    ...(dice.chance(0.85) ? { teams: dice.chance(0.85) ? dice.some(TEAMS, 0.4) : null } : {}),
    ...(dice.chance(0.5) ? { flag: dice.chance(0.5) } : {}),
    ...(dice.chance(0.3) ? { limit: dice.pick([100, '250', 'much']) } : {}),
    ...(dice.chance(0.2) ? { note: 'it\'s "$1" \\ %s', deep: [[{ a: [null] }]] } : {}),
  };
}

/** A filter over the columns that its sender may read. */
export function makeFilter(dice: Dice, table: OracleTable, readable: ReadonlySet<string>): SubscriberFilter {
  const columns = table.columns.filter(({ name }) => readable.has(name));
  const names = columns.map(({ name }) => name);
  return {
    where: dice.chance(0.35) ? makeWhere(dice, columns) : undefined,
    columns: dice.chance(0.25) && names.length > 0 ? dice.some(names, 0.4) : undefined,
    events: dice.chance(0.2) ? dice.some(EVENTS, 0.5) : undefined,
  };
}

/** Everything. */
export const NO_FILTER: SubscriberFilter = { where: undefined, columns: undefined, events: undefined };

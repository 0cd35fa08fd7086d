// Which reason follows from grants and tried policies.

import { describe, expect, it } from 'vitest';
import { findDenial } from '../../server/policies/permission-reason.ts';
import type { RoleRights } from '../../server/policies/permission-store.ts';
import type { TriedPolicy } from '../../server/policies/policy-trial.ts';

const RIGHTS: RoleRights = { oid: 1, exists: true, isGranted: true, isBound: true, policies: [] };
type Tried = [kind: 'may' | 'must', result: TriedPolicy['result']];

const denial = (rights: Partial<RoleRights>, ...tried: Tried[]): string | undefined =>
  findDenial(
    { ...RIGHTS, ...rights },
    tried.map(([kind, result], index) => ({ policyName: `p${index}`, permissive: kind === 'may', result })),
  );

describe('the reason of a denial', () => {
  it.each<[string, Partial<RoleRights>, Tried[], string | undefined]>([
    ['a role that is missing', { exists: false }, [], 'role_missing'],
    ['a grant that is missing', { isGranted: false }, [['may', 'passes']], 'no_grant'],
    ['a role that row security does not bind', { isBound: false }, [], undefined],
    ['no policy', {}, [], 'no_policy'],
    ['restrictive policies alone', {}, [['must', 'passes']], 'no_policy'],
    [
      'one of two that passes',
      {},
      [
        ['may', 'fails'],
        ['may', 'passes'],
      ],
      undefined,
    ],
    [
      'none that passes',
      {},
      [
        ['may', 'fails'],
        ['may', 'fails'],
      ],
      'policy_denies',
    ],
    [
      'one that raises before one that passes',
      {},
      [
        ['may', 'raises'],
        ['may', 'passes'],
      ],
      'policy_raises',
    ],
    [
      'one that raises behind one that passes',
      {},
      [
        ['may', 'passes'],
        ['may', 'raises'],
      ],
      undefined,
    ],
    [
      'a restrictive one that fails',
      {},
      [
        ['must', 'fails'],
        ['may', 'passes'],
      ],
      'restrictive_policy',
    ],
    [
      'a restrictive one that raises',
      {},
      [
        ['must', 'raises'],
        ['may', 'passes'],
      ],
      'policy_raises',
    ],
  ])('follows from %s', (_, rights, tried, expected) => {
    expect(denial(rights, ...tried)).toBe(expected);
  });
});

import { describe, expect, it } from 'vitest';
import { TableAccess } from '../../server/policies/table-access.ts';
import type { TableGrants, TableGrantsStore } from '../../server/policies/table-grants-store.ts';

const table = { oid: 1 };

/** A store that gives `answers` one after the other, the last one again and again, and a clock that pauses move. */
function accessTo(answers: readonly (TableGrants | Error)[]) {
  let reads = 0;
  let nowMs = 0;
  const read = async (): Promise<TableGrants> => {
    const answer = answers[Math.min(reads++, answers.length - 1)] as TableGrants | Error;
    if (answer instanceof Error) throw answer;
    return answer;
  };
  const access = new TableAccess({
    store: { read } as unknown as TableGrantsStore,
    maxAgeMs: 1000,
    visibleWithinMs: 100,
    now: () => nowMs,
    pause: async (ms) => {
      nowMs += ms;
    },
  });
  return { access, reads: () => reads, advance: (ms: number) => (nowMs += ms) };
}

function grants(roles: readonly string[], xmax: bigint, inProgress: readonly bigint[] = []): TableGrants {
  return { roles, xmax, inProgress: new Set(inProgress) };
}

describe('the roles that see a table', () => {
  it('are asked once for all that a snapshot contains, and again when the answer is old', async () => {
    const { access, reads, advance } = accessTo([grants(['anon'], 100n), grants([], 200n)]);
    expect(await access.rolesThatSeeAll(table, 7)).toEqual(new Set(['anon']));
    advance(999);
    expect(await access.rolesThatSeeAll(table, 8)).toEqual(new Set(['anon']));
    expect(reads()).toBe(1);
    advance(1);
    expect(await access.rolesThatSeeAll(table, 9)).toEqual(new Set());
  });

  it('are asked anew for a transaction that the snapshot did not contain', async () => {
    const { access, reads } = accessTo([grants(['anon'], 100n, [50n]), grants([], 200n)]);
    expect(await access.rolesThatSeeAll(table, 7)).toEqual(new Set(['anon']));
    expect(await access.rolesThatSeeAll(table, 50)).toEqual(new Set());
    expect(await access.rolesThatSeeAll(table, 150)).toEqual(new Set());
    expect(reads()).toBe(2);
  });

  it('are asked anew for another version of the same table', async () => {
    const { access } = accessTo([grants(['anon'], 100n), grants([], 200n)]);
    await access.rolesThatSeeAll(table, 7);
    expect(await access.rolesThatSeeAll({ oid: 1 }, 8)).toEqual(new Set());
  });

  it.each([
    ['is not yet known', grants(['anon'], 50n)],
    ['is in progress', grants(['anon'], 100n, [50n])],
  ])('are read until the transaction that is judged is visible, where it %s', async (_, early) => {
    const { access, reads } = accessTo([early, early, grants([], 100n)]);
    expect(await access.rolesThatSeeAll(table, 50)).toEqual(new Set());
    expect(reads()).toBe(3);
  });

  it('are compared across a wrap of the ids', async () => {
    const wrapped = (1n << 32n) + 5n;
    const { access } = accessTo([grants(['anon'], wrapped)]);
    expect(await access.rolesThatSeeAll(table, 0xffff_fff0)).toEqual(new Set(['anon']));
    const { access: early } = accessTo([grants(['anon'], wrapped), grants([], wrapped + 10n)]);
    expect(await early.rolesThatSeeAll(table, 6)).toEqual(new Set());
  });

  it('are an error where the transaction does not become visible in time, and where the database fails', async () => {
    const { access } = accessTo([grants(['anon'], 50n)]);
    await expect(access.rolesThatSeeAll(table, 50)).rejects.toThrow('did not become visible');
    const { access: broken } = accessTo([new Error('gone'), grants(['anon'], 100n)]);
    await expect(broken.rolesThatSeeAll(table, 50)).rejects.toThrow('gone');
    expect(await broken.rolesThatSeeAll(table, 50)).toEqual(new Set(['anon']));
  });
});

import { describe, expect, it } from 'vitest';
import { allowedBytes, judgeHeldWal } from '../../server/replication/wal-fuse.ts';

const MIB = 1024 * 1024;
const held = (lagMib: number, retainedMib: number, databaseLimitMib: number | null = null) => ({
  lagBytes: lagMib * MIB,
  retainedBytes: retainedMib * MIB,
  databaseLimitBytes: databaseLimitMib === null ? null : databaseLimitMib * MIB,
});

describe('what a slot may hold back', () => {
  it.each([
    ['our own bound, where the database has none', 100, null, 100],
    ['the bound of the database, where it is lower', 100, 64, 64],
    ['our own bound, where it is lower', 100, 200, 100],
    ['a segment of WAL at least', 100, 1, 16],
  ])('is %s', (_, ownMib, databaseMib, expectedMib) => {
    expect(allowedBytes(ownMib * MIB, held(0, 0, databaseMib))).toBe(expectedMib * MIB);
  });
});

describe('the fuse', () => {
  it.each([
    ['lets deliver with nothing held back', 0, 0, 'deliver'],
    ['lets deliver below 40 percent', 39, 39, 'deliver'],
    ['leaves it as it is between 40 and 50 percent', 45, 45, 'hold'],
    ['sheds above half', 51, 51, 'shed'],
    ['does not shed for WAL that only an old transaction keeps', 1, 90, 'deliver'],
    ['blows above all of it, where we are behind', 51, 101, 'blow'],
    ['waits above all of it, where we are not', 1, 101, 'deliver'],
  ] as const)('%s', (_, lagMib, retainedMib, expected) => {
    expect(judgeHeldWal(held(lagMib, retainedMib), 100 * MIB, 0)).toBe(expected);
  });

  it('blows above all of it after a while, whoever keeps it', () => {
    expect(judgeHeldWal(held(1, 101), 100 * MIB, 60_000)).toBe('blow');
  });
});

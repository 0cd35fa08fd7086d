import { describe, expect, it } from 'vitest';
import { Quarantine } from '../../server/policies/quarantine.ts';

function quarantine() {
  const clock = { ms: 0 };
  const held = new Quarantine({ initialMs: 10, maxMs: 40, groupAfter: 3, now: () => clock.ms });
  return { clock, held };
}

const ANN = { key: 'ann', group: 'users' };
const BEN = { key: 'ben', group: 'users' };
const CAT = { key: 'cat', group: 'users' };
const DAN = { key: 'dan', group: 'users' };

describe('a quarantine', () => {
  it('holds a question for its time, and longer each time that it fails again', () => {
    const { clock, held } = quarantine();
    const times: number[] = [];
    for (let round = 0; round < 4; round++) {
      times.push(held.hold(ANN, 1));
      expect(held.isHeld(ANN)).toBe(true);
      clock.ms += times.at(-1) as number;
      expect(held.isHeld(ANN)).toBe(false);
    }
    expect(times).toEqual([10, 20, 40, 40]);
  });

  it('begins anew after it has gone well for long', () => {
    const { clock, held } = quarantine();
    held.hold(ANN, 1);
    clock.ms = 1_000;
    expect(held.hold(ANN, 1)).toBe(10);
  });

  it('never holds a group for a few of many', () => {
    const { held } = quarantine();
    for (const question of [ANN, BEN, CAT]) held.hold(question, 7);
    expect(held.isHeld(DAN)).toBe(false);
  });

  it('holds the group once so many of it are held, and not before', () => {
    const { clock, held } = quarantine();
    held.hold(ANN, 6);
    held.hold(BEN, 6);
    expect(held.isHeld(DAN)).toBe(false);
    held.hold(CAT, 6);
    expect(held.isHeld(DAN)).toBe(true);
    expect(held.isHeld({ key: 'eve', group: 'admins' })).toBe(false);
    clock.ms = 10;
    expect(held.isHeld(DAN)).toBe(false);
    expect(held.size).toBe(0);
  });
});

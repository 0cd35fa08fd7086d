import { describe, expect, it } from 'vitest';
import { toEpoch, toLsn } from '../../server/lib/position.ts';
import { decideStart, type StartFacts } from '../../server/replication/start-decision.ts';

const publications = { rowcast: 1, rowcast_inserts: 2, rowcast_messages: 3 };
const checkpoint = {
  epoch: toEpoch(9),
  handled: toLsn(900n),
  mayAck: toLsn(1000n),
  systemIdentifier: 'system',
  timeline: 1,
  slot: 'rowcast',
  publications,
  isFailoverSafe: false,
};
const slot = { confirmed: toLsn(1000n), isLost: false, isSynced: false };
const facts: StartFacts = {
  checkpoint,
  slotName: 'rowcast',
  slot,
  systemIdentifier: 'system',
  timeline: 1,
  publications,
  isFuseBlown: false,
};
const slotAt = (lsn: bigint) => ({ slot: { ...slot, confirmed: toLsn(lsn) } });
const promoted = {
  timeline: 2,
  checkpoint: { ...checkpoint, isFailoverSafe: true },
  slot: { ...slot, isSynced: true },
};

describe('a start', () => {
  it.each<[string, Partial<StartFacts>]>([
    ['the slot stands where it was let go', {}],
    ['the last confirmation was lost', slotAt(1n)],
    ['a standby was promoted that was waited for and brought the slot', promoted],
    [
      'the publications are listed in another order',
      { publications: { rowcast_messages: 3, rowcast_inserts: 2, rowcast: 1 } },
    ],
  ])('goes on in its epoch where %s', (_, changed) => {
    expect(decideStart({ ...facts, ...changed })).toEqual({ kind: 'resume' });
  });

  it.each<[string, Partial<StartFacts>, string, boolean]>([
    ['there is no checkpoint', { checkpoint: null }, 'first_start', true],
    ['there is no checkpoint and no slot', { checkpoint: null, slot: null }, 'first_start', true],
    ['the slot is gone', { slot: null }, 'slot_missing', true],
    ['the setting names another slot, which is not there', { slotName: 'other', slot: null }, 'slot_renamed', true],
    ['the setting names another slot, which is there', { slotName: 'other' }, 'slot_renamed', true],
    ['the slot has lost its WAL', { slot: { ...slot, isLost: true } }, 'slot_lost', true],
    ['the slot was never ready', { slot: { ...slot, confirmed: null } }, 'slot_lost', true],
    ['the checkpoint is of another cluster', { systemIdentifier: 'copy' }, 'system_changed', true],
    [
      'a publication is younger than the slot',
      { publications: { ...publications, rowcast: 7 } },
      'publications_changed',
      true,
    ],
    ['a publication is new', { publications: { ...publications, rowcast_app: 7 } }, 'publications_changed', true],
    ['a publication is gone', { publications: { rowcast: 1, rowcast_inserts: 2 } }, 'publications_changed', true],
    ['the timeline is another one', { timeline: 2 }, 'timeline_changed', false],
    ['a promoted standby was not waited for', { ...promoted, checkpoint }, 'timeline_changed', false],
    ['the slot was made by hand after a promotion', { ...promoted, slot }, 'timeline_changed', false],
    [
      'a promoted standby lacks what its slot confirmed',
      { ...promoted, slot: { ...promoted.slot, confirmed: toLsn(1001n) } },
      'slot_ahead',
      false,
    ],
    ['the slot holds back too much', { isFuseBlown: true }, 'wal_fuse', true],
    ['the slot held back too much and is gone', { isFuseBlown: true, slot: null }, 'wal_fuse', true],
    ['the slot was moved beyond what was promised', slotAt(1001n), 'slot_ahead', false],
  ])('begins an epoch where %s', (_, changed, reason, recreateSlot) => {
    expect(decideStart({ ...facts, ...changed })).toEqual({ kind: 'new_epoch', reason, recreateSlot });
  });

  it('makes the slot anew if that is needed for one of several reasons', () => {
    const changed = { timeline: 2, publications: { ...publications, rowcast: 7 }, ...slotAt(5000n) };
    expect(decideStart({ ...facts, ...changed })).toMatchObject({ kind: 'new_epoch', recreateSlot: true });
  });
});

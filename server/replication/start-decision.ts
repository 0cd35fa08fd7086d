// Owns the decision of how to go on after a start: resume in the same epoch, or begin a new one and why.
// Pure: facts in, decision out. Reading the facts and acting on them is slot.ts.

import type { Epoch, Lsn } from '../lib/position.ts';

/** What the last leader left behind; null before the first start. */
export type Checkpoint = {
  readonly epoch: Epoch;
  readonly handled: Lsn;
  readonly mayAck: Lsn;
  readonly systemIdentifier: string;
  readonly timeline: number;
  readonly slot: string;
  /** Name to oid. */
  readonly publications: Readonly<Record<string, number>>;
  /** A standby that took the slot along was waited for before anything was sent: a promotion loses nothing of it. */
  readonly isFailoverSafe: boolean;
};

export type SlotFacts = {
  readonly confirmed: Lsn | null;
  /** WAL it needs is gone, or it was invalidated. */
  readonly isLost: boolean;
  /** It came here from a primary, as a failover slot. */
  readonly isSynced: boolean;
};

export type StartFacts = {
  readonly checkpoint: Checkpoint | null;
  readonly slotName: string;
  /** null where there is no slot of that name. */
  readonly slot: SlotFacts | null;
  readonly systemIdentifier: string;
  readonly timeline: number;
  readonly publications: Readonly<Record<string, number>>;
  /** The slot holds back more WAL than it may: it is given up. */
  readonly isFuseBlown: boolean;
};

export type NewEpochReason =
  | 'first_start'
  | 'wal_fuse'
  | 'slot_missing'
  | 'slot_lost'
  | 'slot_renamed'
  | 'slot_ahead'
  | 'system_changed'
  | 'timeline_changed'
  | 'publications_changed';

export type StartDecision =
  | { readonly kind: 'resume' }
  /** `recreateSlot`: the slot cannot be used, or may not be (a publication is younger than its WAL). */
  | { readonly kind: 'new_epoch'; readonly reason: NewEpochReason; readonly recreateSlot: boolean };

/** Whether positions from before still hold (design, section 4; traps of Postgres, rules 1, 6 and 9). */
export function decideStart(facts: StartFacts): StartDecision {
  const { checkpoint, slot } = facts;
  if (checkpoint === null) return newEpoch('first_start', true);
  if (facts.isFuseBlown) return newEpoch('wal_fuse', true);
  if (slot === null) return newEpoch(checkpoint.slot === facts.slotName ? 'slot_missing' : 'slot_renamed', true);
  if (slot.isLost || slot.confirmed === null) return newEpoch('slot_lost', true);
  if (checkpoint.systemIdentifier !== facts.systemIdentifier) return newEpoch('system_changed', true);
  if (!isSame(checkpoint.publications, facts.publications)) return newEpoch('publications_changed', true);
  if (checkpoint.slot !== facts.slotName) return newEpoch('slot_renamed', true);
  if (checkpoint.timeline !== facts.timeline && !survivesPromotion(checkpoint, slot)) {
    return newEpoch('timeline_changed', false);
  }
  if (slot.confirmed > checkpoint.mayAck) return newEpoch('slot_ahead', false);
  return { kind: 'resume' };
}

// A standby that was promoted without having been waited for lacks changes that were delivered already, and
// uses their LSNs for others.
function survivesPromotion(checkpoint: Checkpoint, slot: SlotFacts): boolean {
  return checkpoint.isFailoverSafe && slot.isSynced;
}

function newEpoch(reason: NewEpochReason, recreateSlot: boolean): StartDecision {
  return { kind: 'new_epoch', reason, recreateSlot };
}

function isSame(before: Readonly<Record<string, number>>, now: Readonly<Record<string, number>>): boolean {
  const names = Object.keys(before);
  return names.length === Object.keys(now).length && names.every((name) => before[name] === now[name]);
}

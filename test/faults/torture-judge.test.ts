// The verdict of the torture on trails that are right, and on each way to be wrong.

import { expect, it } from 'vitest';
import { type Due, interestOf } from './torture-interest.ts';
import { type Findings, judgeTrail } from './torture-judge.ts';
import { Trail, type TrailEntry } from './torture-trail.ts';

const place = (n: number): string => `${String(n).padStart(16, '0')}-00000000`;
const at = (n: number, epoch = 1): string => `${String(epoch).padStart(8, '0')}-${place(n)}`;
const DUE: readonly Due[] = [10, 20, 30, 40].map((n) => ({ place: place(n), event: 'INSERT', content: `row ${n}` }));

const fresh = (n: number, epoch?: number): TrailEntry => ({ kind: 'fresh', position: at(n, epoch) });
const snapshot = (n: number): TrailEntry => ({ kind: 'snapshot', position: at(n) });
const recovered = (since: number): TrailEntry => ({ kind: 'recovered', since: at(since) });
const live = (n: number, epoch?: number): TrailEntry => ({ kind: 'live', position: at(n, epoch) });
const gap = (from: number, to: number, epoch?: number): TrailEntry => ({
  kind: 'gap',
  from: at(from),
  to: at(to, epoch),
  reason: 'epoch_changed',
});
const message = (
  n: number,
  { epoch, content = `row ${n}` }: { epoch?: number; content?: string } = {},
): TrailEntry => ({
  kind: 'message',
  seen: { position: at(n, epoch), messageId: `m${n}`, event: 'INSERT', content },
});

const CLEAN = { lost: 0, duplicated: 0, disordered: 0, wrong: 0 };

it.each<[string, TrailEntry[], Partial<Findings>]>([
  ['everything from the start', [fresh(5), message(10), message(20), message(30), message(40)], CLEAN],
  ['from where it subscribed', [fresh(25), message(30), message(40)], CLEAN],
  [
    'a resume in the middle',
    [fresh(5), message(10), recovered(10), message(20), message(30), live(30), message(40)],
    CLEAN,
  ],
  [
    'a resume from further back',
    [fresh(5), message(10), message(20), recovered(10), message(20), message(30), message(40)],
    { ...CLEAN, repeated: 1, recovered: 1 },
  ],
  ['a snapshot', [fresh(5), message(10), snapshot(10), message(30), live(30), message(40)], CLEAN],
  ['a hole behind a snapshot', [snapshot(5), message(20), live(25), message(40)], { ...CLEAN, lost: 1 }],
  ['a gap that was told', [fresh(5), message(10), gap(10, 30), message(40)], CLEAN],
  ['a gap that was told after the next message', [fresh(5), message(10), message(40), gap(10, 35)], CLEAN],
  ['an epoch that was told', [fresh(5), message(10), gap(10, 30, 2), message(40, { epoch: 2 })], CLEAN],
  [
    'an epoch that was told while a replay was under way',
    [fresh(5), recovered(5), gap(25, 35, 2), message(10), message(20), message(40, { epoch: 2 }), live(40, 2)],
    CLEAN,
  ],
  [
    'an old epoch behind live',
    [fresh(5), message(10), recovered(10), gap(15, 25, 2), live(25, 2), message(30), message(40)],
    { ...CLEAN, wrong: 1 },
  ],
  ['a hole', [fresh(5), message(10), message(40)], { ...CLEAN, lost: 2 }],
  ['a hole before live', [fresh(5), recovered(5), message(20), live(30), message(40)], { ...CLEAN, lost: 2 }],
  [
    'a hole that a resume from further back fills',
    [fresh(5), message(20), message(40), recovered(5), message(10), message(20), message(30), message(40)],
    CLEAN,
  ],
  ['a missing end', [fresh(5), message(10), message(20)], { ...CLEAN, lost: 2 }],
  ['one twice', [fresh(25), message(30), message(30), message(40)], { ...CLEAN, duplicated: 1 }],
  [
    'one below its since',
    [fresh(5), message(10), message(20), recovered(20), message(20), message(30), message(40)],
    { ...CLEAN, duplicated: 1 },
  ],
  ['a wrong order', [fresh(15), message(30), message(20), message(40)], { ...CLEAN, disordered: 1 }],
  ['what nobody committed', [fresh(25), message(30), message(35), message(40)], { ...CLEAN, wrong: 1 }],
  ['another content', [fresh(25), message(30, { content: 'other' }), message(40)], { ...CLEAN, wrong: 1 }],
  ['an epoch nobody told of', [fresh(25), message(30), message(40, { epoch: 2 })], { ...CLEAN, wrong: 1 }],
])('judges %s', (_, entries, findings) => {
  const trail = new Trail('trail', interestOf(0));
  for (const entry of entries) trail.add(entry);
  expect(judgeTrail(DUE, trail)).toMatchObject(findings);
});

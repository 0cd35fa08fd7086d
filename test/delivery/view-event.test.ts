// Applying the events of a view to a copy keeps it equal to the view.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { deliveredEvent, HIDDEN, SAME, viewOf } from '../../server/delivery/view-event.ts';
import type { RowEvent } from '../../server/protocol/client-frame.ts';

const NO = 0;
const YES = 1;
const UNKNOWN = 2;

describe('the event of a change', () => {
  it('keeps a copy equal to what is visible, over any history of a row', () => {
    const step = fc.record({ exists: fc.boolean(), visible: fc.boolean() });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 20 }), (steps) => {
        let before = { exists: false, visible: false };
        let isInCopy = false;
        for (const after of steps) {
          const event = eventOf(before.exists, after.exists);
          if (event === undefined) continue;
          const verdict = (state: typeof before): number | undefined =>
            state.exists ? Number(state.visible) : undefined;
          const view = viewOf(event, verdict(after), verdict(before));
          const told = deliveredEvent(event, view);
          if (view !== HIDDEN) {
            expect(isInCopy).toBe(told !== 'INSERT');
            isInCopy = told !== 'DELETE';
          }
          before = after;
          expect(isInCopy).toBe(after.exists && after.visible);
        }
      }),
    );
  });

  it.each<[RowEvent, number | undefined, number | undefined, boolean]>([
    ['INSERT', UNKNOWN, undefined, false],
    ['UPDATE', UNKNOWN, undefined, false],
    ['UPDATE', UNKNOWN, UNKNOWN, false],
    ['UPDATE', NO, undefined, false],
    ['UPDATE', YES, undefined, true],
    ['UPDATE', YES, UNKNOWN, true],
    ['DELETE', undefined, UNKNOWN, false],
    ['DELETE', undefined, undefined, false],
  ])('%s with verdicts %s and %s is told as it is: %s', (event, fresh, old, isTold) => {
    expect(viewOf(event, fresh, old)).toBe(isTold ? SAME : HIDDEN);
  });
});

function eventOf(existed: boolean, exists: boolean): RowEvent | undefined {
  if (existed) return exists ? 'UPDATE' : 'DELETE';
  return exists ? 'INSERT' : undefined;
}

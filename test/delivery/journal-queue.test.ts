// The order of changes and commits on their way into the journal, and the bound of what may wait.

import { expect, it } from 'vitest';
import type { ChangeMessage } from '../../server/changes/change-message.ts';
import { JournalQueue } from '../../server/delivery/journal-queue.ts';
import { toLsn } from '../../server/lib/position.ts';

const message = (bytes = 100): ChangeMessage =>
  ({ kind: 'change', payload: new Uint8Array(bytes), oldImage: null, newImage: null }) as unknown as ChangeMessage;

/** A queue that holds transactions with so many changes; the commit LSN of the first is 10, of the next 20 … */
function filled(...sizes: readonly number[]): JournalQueue {
  const queue = new JournalQueue(1_000_000);
  for (const [index, size] of sizes.entries()) {
    for (let left = size; left > 0; left--) queue.push(message(), 0);
    queue.commit(toLsn(BigInt(index + 1) * 10n), toLsn(BigInt(index + 1) * 10n + 8n));
  }
  return queue;
}

it('gives the last commit that a batch makes whole, although more is waiting', () => {
  const queue = filled(2, 2, 2);
  const batch = queue.take(5);
  expect(batch.entries).toHaveLength(5);
  expect(batch.commit).toEqual({ lsn: 20n, endLsn: 28n });
  expect(queue.take(5)).toMatchObject({ entries: [expect.anything()], commit: { lsn: 30n } });
  expect(queue.isEmpty).toBe(true);
});

it('gives no commit before all of its transaction is taken', () => {
  const queue = filled(3);
  expect(queue.take(2).commit).toBeUndefined();
  expect(queue.take(2).commit).toEqual({ lsn: 10n, endLsn: 18n });
});

it('gives a commit of a transaction that left nothing to write', () => {
  const queue = filled(0, 0);
  expect(queue.isEmpty).toBe(false);
  expect(queue.take(10)).toMatchObject({ entries: [], commit: { lsn: 20n, endLsn: 28n } });
  expect(queue.isEmpty).toBe(true);
});

it('makes whoever runs ahead wait until it is within its bound again', async () => {
  const queue = new JournalQueue(1_000);
  const never = new AbortController().signal;
  queue.push(message(2_000), 0);
  queue.commit(toLsn(10n), toLsn(18n));
  let hasRoom = false;
  const waiting = queue.room(never).then(() => {
    hasRoom = true;
  });
  const batch = queue.take(10);
  await Promise.resolve();
  expect(hasRoom).toBe(false);
  queue.release(batch);
  await waiting;
  expect(queue.bytes).toBe(0);
});

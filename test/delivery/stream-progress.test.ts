// How far the stream has come, the waiting for it, and turns of those who replay.

import { expect, it } from 'vitest';
import { PositionMark } from '../../server/delivery/position-mark.ts';
import { ReplayTurns } from '../../server/delivery/replay-turns.ts';
import { StreamProgress } from '../../server/delivery/stream-progress.ts';
import { UnseenTransactions } from '../../server/delivery/unseen-transactions.ts';
import { endOfTransaction, formatPosition, type Lsn, toEpoch, toLsn } from '../../server/lib/position.ts';
import { TransactionSnapshot } from '../../server/lib/transaction-snapshot.ts';

const epoch = toEpoch(7);
const at = (lsn: bigint) => endOfTransaction(epoch, toLsn(lsn));
const never = new AbortController().signal;

it('wakes who waits for a position once it is reached, and nobody before', async () => {
  const mark = new PositionMark();
  const woken: string[] = [];
  const waits = [
    mark.until(at(10n), never).then(() => woken.push('10')),
    mark.until(at(20n), never).then(() => woken.push('20')),
  ];
  mark.reach(at(9n));
  await Promise.resolve();
  expect(woken).toEqual([]);
  mark.reach(at(10n));
  await waits[0];
  expect(woken).toEqual(['10']);
  mark.reach(at(30n));
  await Promise.all(waits);
  expect(mark.position).toBe(at(30n));
});

it('never goes back unless it is set back, and lets go of who gives up', async () => {
  const mark = new PositionMark();
  mark.reach(at(10n));
  mark.reach(at(5n));
  expect(mark.position).toBe(at(10n));
  mark.reset(at(5n));
  const giveUp = new AbortController();
  const waiting = mark.until(at(9n), giveUp.signal);
  giveUp.abort();
  await waiting;
  expect(mark.position).toBe(at(5n));
});

it('is idle below every commit that may still come', () => {
  const progress = new StreamProgress();
  const walEnd = toLsn(0x1_0000_0000n);
  progress.reachIdle(epoch, walEnd);
  const next = formatPosition({ epoch, lsn: walEnd as Lsn, index: 0 });
  expect(String(progress.delivered.position) < next).toBe(true);
  expect(progress.journaled.position).toBe(progress.delivered.position);
});

it('forgets the transactions that a snapshot contains, across the wrap of 32 bits', () => {
  const unseen = new UnseenTransactions();
  for (const xid of [0xffff_fffe, 0xffff_ffff, 3, 4]) unseen.add(xid);
  const high = 5n << 32n;
  unseen.forget(new TransactionSnapshot(`${high + 3n}:${high + 5n}:${high + 3n}`));
  expect(unseen.xids).toEqual([3]);
});

it('gives as many turns at once as it may, in all and to one, in the order of asking', async () => {
  const turns = new ReplayTurns(3, 2);
  const order: string[] = [];
  const take = async (key: string) => {
    const release = await turns.take(key, never);
    order.push(key);
    return release;
  };
  const first = await take('a');
  await take('a');
  const third = take('a');
  await take('b');
  const fourth = take('c');
  expect([order, turns.active, turns.waiting]).toEqual([['a', 'a', 'b'], 3, 2]);
  first?.();
  first?.();
  await third;
  expect([order, turns.active, turns.waiting]).toEqual([['a', 'a', 'b', 'a'], 3, 1]);
  (await third)?.();
  await fourth;
  expect(order).toEqual(['a', 'a', 'b', 'a', 'c']);
});

it('takes who gives up out of the line', async () => {
  const turns = new ReplayTurns(1, 1);
  const release = await turns.take('a', never);
  const giveUp = new AbortController();
  const waiting = turns.take('b', giveUp.signal);
  giveUp.abort();
  expect(await waiting).toBeUndefined();
  release?.();
  expect([turns.active, turns.waiting]).toEqual([0, 0]);
});

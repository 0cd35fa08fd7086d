// What is delivered to a subscription that is not live yet: dropped while it is behind, held in bounded memory after.

import { expect, it } from 'vitest';
import { Backlog, HeldBytes } from '../../server/hub/backlog.ts';

const bytes = (length: number): Uint8Array => new Uint8Array(length);

it('drops what comes while it is behind, and keeps what comes while it holds', () => {
  const backlog = new Backlog(new HeldBytes(100));
  backlog.push(bytes(10));
  backlog.hold();
  backlog.push(bytes(20));
  backlog.push(bytes(30));
  expect(backlog.takeAll().map(({ length }) => length)).toEqual([20, 30]);
  expect(backlog.takeAll()).toEqual([]);
});

it('overflows where there is no room, and counts what was taken until it is sent', () => {
  const all = new HeldBytes(100);
  const backlog = new Backlog(all);
  backlog.hold();
  backlog.push(bytes(60));
  backlog.takeAll();
  backlog.push(bytes(41));
  expect([backlog.state, all.bytes]).toEqual(['overflown', 60]);
  backlog.sent();
  expect(all.bytes).toBe(0);
  backlog.hold();
  backlog.push(bytes(100));
  expect([backlog.state, all.bytes]).toEqual(['held', 100]);
});

it('shares its room with the others, and gives it back', () => {
  const all = new HeldBytes(100);
  const [one, other] = [new Backlog(all), new Backlog(all)];
  one.hold();
  other.hold();
  one.push(bytes(70));
  other.push(bytes(31));
  expect([one.state, other.state]).toEqual(['held', 'overflown']);
  one.close();
  expect([one.state, all.bytes]).toEqual(['behind', 0]);
});

it('counts bytes once that several hold', () => {
  const all = new HeldBytes(100);
  const backlogs = [new Backlog(all), new Backlog(all), new Backlog(all)];
  const shared = bytes(90);
  for (const backlog of backlogs) {
    backlog.hold();
    backlog.push(shared);
  }
  expect([all.bytes, backlogs.map(({ state }) => state)]).toEqual([90, ['held', 'held', 'held']]);
  for (const backlog of backlogs.slice(1)) backlog.close();
  expect(all.bytes).toBe(90);
  backlogs[0]?.close();
  expect(all.bytes).toBe(0);
});

it('gives nothing back twice', () => {
  const all = new HeldBytes(100);
  const backlog = new Backlog(all);
  backlog.hold();
  backlog.push(bytes(50));
  backlog.takeAll();
  backlog.close();
  backlog.sent();
  expect(all.bytes).toBe(0);
});

// Slices of history that several want within a moment are read once, and give each what lies behind its own position.

import { expect, it } from 'vitest';
import type { ReplayedSlice } from '../../server/delivery/replay-source.ts';
import { SliceCache } from '../../server/delivery/slice-cache.ts';
import type { CanonicalChannel } from '../../server/protocol/channel-name.ts';

const POSTS = 'db:posts' as CanonicalChannel;
const slice = (...positions: string[]): ReplayedSlice =>
  ({
    floor: null,
    isEnd: true,
    last: positions.at(-1),
    messages: positions.map((position) => ({ position })),
  }) as unknown as ReplayedSlice;
const positionsOf = (read: ReplayedSlice | undefined): unknown => read?.messages.map(({ position }) => position);

it('gives whoever stands within a slice the rest of it, and never calls it the end', async () => {
  const cache = new SliceCache(() => 0);
  await cache.get(POSTS, '1', async () => slice('2', '3', '4'));
  const rest = await cache.get(POSTS, '3', () => Promise.reject(new Error('read again')));
  expect([positionsOf(rest), rest?.isEnd, rest?.last]).toEqual([['4'], false, '4']);
});

it('reads for whoever stands at its end, before it, or on another channel', async () => {
  const cache = new SliceCache(() => 0);
  await cache.get(POSTS, '2', async () => slice('3', '4'));
  const reads = [
    cache.get(POSTS, '4', async () => slice('5')),
    cache.get(POSTS, '1', async () => slice('2', '3')),
    cache.get('room:1' as CanonicalChannel, '3', async () => slice('9')),
  ];
  expect((await Promise.all(reads)).map(positionsOf)).toEqual([['5'], ['2', '3'], ['9']]);
});

it('joins a reading that is under way, and reads anew after one that failed or is old', async () => {
  let now = 0;
  const cache = new SliceCache(() => now);
  let reads = 0;
  const read = async (): Promise<ReplayedSlice> => {
    reads += 1;
    await Promise.resolve();
    if (reads === 1) throw new Error('no database');
    return slice('2');
  };
  const failed = await Promise.allSettled([cache.get(POSTS, '1', read), cache.get(POSTS, '1', read)]);
  expect([failed.map(({ status }) => status), reads]).toEqual([['rejected', 'rejected'], 1]);
  await Promise.all([cache.get(POSTS, '1', read), cache.get(POSTS, '1', read)]);
  expect(reads).toBe(2);
  now = 60_000;
  await cache.get(POSTS, '1', read);
  expect(reads).toBe(3);
});

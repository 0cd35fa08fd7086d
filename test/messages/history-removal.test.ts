// Deletion on demand: what lies before a time or a position, of both tables, with its counts.

import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { removeBefore } from '../../server/messages/history-removal.ts';
import { readStatistics } from '../../server/messages/history-statistics.ts';
import { describeEachPostgres } from '../rig/postgres.ts';
import { type HistoryStage, openHistoryStage, positionAt, positionBound, timeBound } from './history-stage.ts';

const NEVER = new AbortController().signal;

describeEachPostgres('what lies before a time or a position', (postgres) => {
  let stage: HistoryStage;
  let channelId: string;

  beforeAll(async () => {
    stage = await openHistoryStage(postgres);
    channelId = await stage.channel('order:*');
    for (const parent of ['messages', 'changes']) {
      for (const day of ['2024-01-15', '2024-01-17'])
        await stage.host.sql('select realtime.make_partition($1, $2)', [parent, day]);
    }
  });
  afterAll(() => stage[Symbol.asyncDispose]());
  beforeEach(async () => {
    await stage.host.sql('truncate realtime.messages, realtime.changes');
    const days = ['15', '16', '17'];
    await stage.messages(days.map((day, at) => ({ place: 2 * at + 1, at: `2024-01-${day}T10:30:00Z`, channelId })));
    await stage.changes(
      days.map((day, at) => ({ place: 2 * at + 2, at: `2024-01-${day}T10:30:00Z`, relation: 'posts' })),
    );
    // A long transaction: it began first and was committed last.
    await stage.messages([{ place: 7, at: '2024-01-15T00:00:00Z', channelId }]);
  });

  const left = async (): Promise<number[]> => {
    const places = (await stage.list({ order: 'asc' })).map(
      ({ position }) => Number.parseInt(position.slice(9, 25), 16) / 64,
    );
    expect((await readStatistics(stage.host.db.pool, {})).totalMessages).toBe(places.length);
    return places;
  };
  const remove = (bound: Parameters<typeof removeBefore>[1]) => removeBefore(stage.host.db.pool, bound, NEVER);

  it.each([
    ['2024-01-16T10:30:00Z', [3, 4, 5, 6]],
    ['2024-01-16T10:30:00.000001Z', [5, 6]],
    ['2024-01-15T00:00:00Z', [1, 2, 3, 4, 5, 6, 7]],
    ['2030-01-01T00:00:00Z', []],
    ['2000-01-01T00:00:00Z', [1, 2, 3, 4, 5, 6, 7]],
  ])('goes by the time %s', async (at, places) => {
    expect(await remove(timeBound(at))).toEqual({ deleted: 7 - places.length, isComplete: true });
    expect(await left()).toEqual(places);
  });

  it.each([
    [1, [1, 2, 3, 4, 5, 6, 7]],
    [4, [4, 5, 6, 7]],
    [7, [7]],
    [100, []],
  ])('goes by the position of %i', async (place, places) => {
    expect(await remove(positionBound(positionAt(place)))).toEqual({ deleted: 7 - places.length, isComplete: true });
    expect(await left()).toEqual(places);
  });

  it('goes however much it is, in steps', async () => {
    await stage.messages(
      Array.from({ length: 5_000 }, (_, at) => ({ place: at + 10, at: '2024-01-17T12:00:00Z', channelId })),
    );
    expect(await remove(positionBound(positionAt(5_000)))).toEqual({ deleted: 4_997, isComplete: true });
    expect((await left()).slice(0, 2)).toEqual([5_000, 5_001]);
  });

  it('does not go before it has its place', async () => {
    await stage.messages([{ place: 0, at: '2024-01-15T10:30:00Z', channelId }], false);
    expect(await remove(timeBound('2030-01-01T00:00:00Z'))).toEqual({ deleted: 7, isComplete: true });
    expect(await stage.host.sql('select position from realtime.messages')).toEqual([{ position: null }]);
  });

  it('goes as well where somebody holds it for a moment', async () => {
    const holder = await stage.host.database.connect();
    try {
      await holder.query('begin; select from realtime.messages for update');
      const removing = remove(positionBound(positionAt(100)));
      await expect.poll(async () => (await stage.list({})).length).toBe(4);
      await holder.query('commit');
      expect(await removing).toEqual({ deleted: 7, isComplete: true });
    } finally {
      await holder.end();
    }
  });

  it('says so where it was cut off', async () => {
    expect(await removeBefore(stage.host.db.pool, positionBound(positionAt(100)), AbortSignal.abort())).toEqual({
      deleted: 0,
      isComplete: false,
    });
  });
});

// What acknowledged deliveries come to in history and its statistics: each counted once, and only where its message is.

import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { removeBefore } from '../../server/messages/history-removal.ts';
import { readStatistics } from '../../server/messages/history-statistics.ts';
import type { AttemptResult } from '../../server/webhooks/attempt-result.ts';
import { DeliveryQueue } from '../../server/webhooks/delivery-queue.ts';
import type { DueRequest } from '../../server/webhooks/due-request.ts';
import { type HistoryStage, openHistoryStage, positionAt, positionBound } from '../messages/history-stage.ts';
import { describeEachPostgres } from '../rig/postgres.ts';

const NEVER = new AbortController().signal;
const RULES = { initialMs: 1, maxMs: 1, giveUpMs: 60_000, pauseAfterMs: 60_000 };
const AT = '2026-01-02T03:04:05.678901Z';
const DELIVERED: AttemptResult = {
  ...{ kind: 'delivered', status: 200, error: null, responseHead: '', durationMs: 1, retryAfterMs: undefined },
};

describeEachPostgres('deliveries that are acknowledged', (postgres) => {
  let stage: HistoryStage;
  let queue: DeliveryQueue;

  beforeAll(async () => {
    stage = await openHistoryStage(postgres);
    queue = new DeliveryQueue({ pool: stage.host.db.pool, holder: 'test', leaseMs: 60_000, rules: RULES });
  });
  afterAll(() => stage[Symbol.asyncDispose]());

  // Two messages and a change, each for the same two endpoints.
  beforeEach(async () => {
    await stage.host.sql(`
      truncate realtime.messages, realtime.changes, realtime.message_counts, realtime.webhook_endpoints, realtime.webhook_deliveries,
        realtime.webhook_attempts, realtime.history_floors`);
    await stage.host.sql('delete from realtime.channels');
    const channelId = await stage.channel('a');
    await stage.messages([1, 2].map((place) => ({ place, at: AT, channelId, deliveries: [2, 0] as const })));
    await stage.changes([{ place: 3, at: AT, relation: 'posts' }]);
    await stage.host.sql(
      `insert into realtime.webhook_endpoints (url, pattern) values ('http://x/1', '*'), ('http://x/2', '*')`,
    );
    await stage.host.sql(`
      insert into realtime.webhook_deliveries (endpoint_id, message_id, source, position, channel_name, event_name, message_created_at, body)
      select e.id, h.id, h.source, h.position, 'a', 'e', h.at, '1'
      from (
        select m.id, 'messages' as source, m.position, m.created_at as at from realtime.messages m
        union all
        select gen_random_uuid(), 'changes', c.position, c.committed_at from realtime.changes c) h, realtime.webhook_endpoints e`);
  });

  const lease = (): Promise<DueRequest[]> => queue.lease(100, 1_000_000);
  const finish = (requests: readonly DueRequest[], result = DELIVERED) =>
    queue.finish(requests.map((request) => ({ request, result })));
  const inHistory = async (): Promise<number[]> =>
    (
      await stage.host.sql<{ count: number }>(
        'select h.wh_delivered_count as count from realtime.history h order by h.position',
      )
    ).map(({ count }) => count);
  const delivered = async (): Promise<number> => (await readStatistics(stage.host.db.pool, {})).whDelivered;

  it('are counted in their messages, their changes and the statistics', async () => {
    const requests = await lease();
    expect(await finish(requests.slice(0, 4))).toEqual({ delivered: 4, dead: 0, lost: 0, stopped: [] });
    await finish(requests.slice(4));
    expect(await inHistory()).toEqual([2, 2, 2]);
    expect(await delivered()).toBe(6);
  });

  it('are counted once, however often they are sent', async () => {
    await finish(await lease());
    await stage.host.sql(`update realtime.webhook_deliveries set state = 'pending', next_attempt_at = now()`);
    const again = await lease();
    expect(again).toHaveLength(6);
    await finish(again);
    expect(await inHistory()).toEqual([2, 2, 2]);
    expect(await delivered()).toBe(6);
  });

  it('are not counted for what failed, nor for what is gone from history', async () => {
    const requests = await lease();
    await finish(requests.slice(0, 2), { ...DELIVERED, kind: 'failed', status: 500 });
    await removeBefore(stage.host.db.pool, positionBound(positionAt(4)), NEVER);
    await finish(requests.slice(2));
    expect(await inHistory()).toEqual([]);
    expect(await delivered()).toBe(0);
    expect(await stage.host.sql(`select from realtime.webhook_deliveries where state = 'delivered'`)).toHaveLength(4);
  });

  it('leave the statistics with their messages', async () => {
    await finish(await lease());
    await removeBefore(stage.host.db.pool, positionBound(positionAt(2)), NEVER);
    expect(await inHistory()).toEqual([2, 2]);
    expect(await delivered()).toBe(4);
  });
});

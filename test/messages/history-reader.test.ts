// What is read of history, in which form and by whom.

import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { openPool } from '../../server/db/pools.ts';
import { HistoryReader } from '../../server/messages/history-reader.ts';
import type { CanonicalChannel } from '../../server/protocol/channel-name.ts';
import { collectingLog } from '../db/migrated.ts';
import { describeEachPostgres } from '../rig/postgres.ts';
import { type HistoryStage, identityOf, openHistoryStage, positionAt, positionBound } from './history-stage.ts';

const AT = '2024-01-15T10:30:00Z';
const ALICE = identityOf('authenticated', 'alice');

describeEachPostgres('history', (postgres) => {
  let stage: HistoryStage;
  let order: string;

  beforeAll(async () => {
    stage = await openHistoryStage(postgres);
    order = await stage.channel('order:*');
  });
  afterAll(() => stage[Symbol.asyncDispose]());
  beforeEach(() => stage.host.sql('truncate realtime.messages, realtime.changes'));

  const message = (place: number, more: object = {}) => ({
    place,
    at: AT,
    channelId: order,
    channel: 'order:1',
    ...more,
  });
  const places = async (query: Parameters<HistoryStage['list']>[0], identity = ALICE): Promise<string[]> =>
    (await stage.list(query, identity)).map(({ position }) => position);

  describe('in its form', () => {
    it('is as printed, and the position behind', async () => {
      await stage.messages([
        {
          ...message(1, { event: 'order.created', sender: '770e8400-e29b-41d4-a716-446655440000', deliveries: [2, 1] }),
          payload: '{"orderId":"123"}',
        },
      ]);
      const [row] = await stage.host.sql<{ id: string }>('select id from realtime.messages');
      expect(await stage.text({})).toBe(
        `[{"id":"${row?.id}","eventName":"order.created","channelId":"${order}","channelName":"order:1",` +
          '"payload":{"orderId": "123"},"senderType":"user","senderId":"770e8400-e29b-41d4-a716-446655440000","wsAudienceCount":1,' +
          `"whAudienceCount":2,"whDeliveredCount":1,"createdAt":"2024-01-15T10:30:00Z","position":"${positionAt(1)}"}]`,
      );
    });

    it('keeps every digit and every kind of a payload', async () => {
      const payloads = [
        '12345678901234567890.123456789012345678901234567890',
        '1E+400',
        'null',
        '"a\\"b\\\\\\u0001 ⏎"',
        '[]',
        '[1,[2.50]]',
      ];
      await stage.messages(payloads.map((payload, index) => message(index + 1, { payload })));
      const text = await stage.text({ order: 'asc' });
      const kept = await stage.host.sql<{ payload: string }>(
        'select payload::text from realtime.messages order by position',
      );
      expect([...text.matchAll(/"payload":(.*?),"senderType"/g)].map((match) => match[1])).toEqual(
        kept.map(({ payload }) => payload),
      );
      expect(kept[0]?.payload).toBe(payloads[0]);
    });

    it('prints times in UTC, their fraction only if there is one, whatever the zone of the database', async () => {
      await stage.messages([
        message(1, { at: '2024-01-15T12:30:00.5+02:00' }),
        message(2, { at: '2024-01-15T10:30:00.000001Z' }),
        message(3),
      ]);
      await stage.host.sql(`alter database "${stage.host.database.name}" set timezone = 'Asia/Tokyo'`);
      await stage.host.sql('create policy all_of_it on realtime.messages for select using (true)');
      const options = {
        applicationName: 'other zone',
        max: 1,
        statementTimeoutMs: 5_000,
        log: collectingLog(),
        unpinned: ['TimeZone'],
      };
      const zoned = openPool({ connectionString: stage.host.database.url, ...options });
      try {
        const { pool } = stage.host.db;
        const reader = new HistoryReader({
          pool,
          policyPool: zoned.pool,
          roles: ['authenticated'],
          log: collectingLog(),
        });
        const answer = await reader.read({ order: 'asc', limit: 10, offset: 0 }, ALICE);
        const listed: { createdAt: string }[] = JSON.parse(answer.kind === 'json' ? answer.json : '');
        expect(listed.map(({ createdAt }) => createdAt)).toEqual([
          '2024-01-15T10:30:00.5Z',
          '2024-01-15T10:30:00.000001Z',
          '2024-01-15T10:30:00Z',
        ]);
      } finally {
        await zoned.close();
        await stage.host.sql(
          `alter database "${stage.host.database.name}" reset timezone; drop policy all_of_it on realtime.messages`,
        );
      }
    });

    it('shows a row change as a message of the system on the channel of its table', async () => {
      const posts = await stage.channel('db:posts');
      await stage.changes([{ place: 1, at: AT, relation: 'posts', op: 'UPDATE', payload: '{"new":{"n":1.10}}' }]);
      const [row] = await stage.host.sql('select realtime.message_id($1)::text as id', [positionAt(1)]);
      expect(await stage.text({})).toBe(
        `[{"id":"${row?.id}","eventName":"UPDATE","channelId":"${posts}","channelName":"db:posts","payload":{"new": {"n": 1.10}},` +
          '"senderType":"system","senderId":null,"wsAudienceCount":0,"whAudienceCount":0,"whDeliveredCount":0,' +
          `"createdAt":"2024-01-15T10:30:00Z","position":"${positionAt(1)}"}]`,
      );
    });

    it('shows a change that jsonb could not hold as it was delivered', async () => {
      const payload = JSON.stringify({ text: '{"schema":"public","new":{"a":"\\u0000","b":1e999999}}' });
      await stage.changes([{ place: 1, at: AT, relation: 'posts', payload }]);
      expect(await stage.text({})).toContain('"payload":{"schema":"public","new":{"a":"\\u0000","b":1e999999}},');
    });

    it('has no channel id once the channel row is gone, and nothing under the id of one that is gone', async () => {
      const gone = await stage.channel('gone:*');
      await stage.messages([message(1, { channelId: gone, channel: 'gone:1' })]);
      expect(await stage.list({ channelId: gone })).toMatchObject([{ channelId: gone }]);
      await stage.host.sql('delete from realtime.channels where id = $1', [gone]);
      expect(await stage.list({})).toMatchObject([{ channelId: null, channelName: 'gone:1' }]);
      expect(await stage.list({ channelId: gone })).toEqual([]);
    });

    it('does not hold what has no place yet', async () => {
      await stage.messages([message(1)]);
      await stage.messages([message(0)], false);
      expect(await stage.list({})).toHaveLength(1);
    });
  });

  describe('in its order', () => {
    it('is that of positions, messages and changes together', async () => {
      await stage.messages([message(1), message(4, { at: '2024-01-14T00:00:00Z' })]);
      await stage.changes([
        { place: 2, at: AT, relation: 'posts' },
        { place: 3, at: '2024-01-16T00:00:00Z', relation: 'posts' },
      ]);
      const ascending = [1, 2, 3, 4].map(positionAt);
      expect((await stage.list({ order: 'asc' })).map(({ position }) => position)).toEqual(ascending);
      expect((await stage.list({})).map(({ position }) => position)).toEqual(ascending.toReversed());
    });

    it('is paged to the end by the last position, each exactly once, while more is written', async () => {
      await stage.messages(Array.from({ length: 250 }, (_, index) => message(2 * index + 1)));
      await stage.changes(
        Array.from({ length: 250 }, (_, index) => ({ place: 2 * index + 2, at: AT, relation: 'posts' })),
      );
      const seen: string[] = [];
      let next = 1_000;
      for (let last: string | undefined; ; ) {
        const page = await stage.list({ limit: 37, until: last === undefined ? undefined : positionBound(last) });
        if (page.length === 0) break;
        seen.push(...page.map(({ position }) => position));
        last = page.at(-1)?.position;
        await stage.messages([message(next++)]);
      }
      expect(seen).toEqual(Array.from({ length: 500 }, (_, index) => positionAt(500 - index)));
    });

    it('is read in parts where a page is large, and loses nothing between them', async () => {
      const payload = JSON.stringify('x'.repeat(150_000));
      await stage.messages(Array.from({ length: 130 }, (_, index) => message(index + 1, { payload })));
      await stage.messages(Array.from({ length: 300 }, (_, index) => message(index + 131)));
      const answer = await stage.reader.read(
        { order: 'asc', limit: 1_000, offset: 5 },
        identityOf('service_role', null, true),
      );
      const parts: string[] = [];
      if (answer.kind === 'parts') for await (const part of answer.parts) parts.push(part);
      const listed: { position: string }[] = JSON.parse(parts.join(''));
      expect(listed.map(({ position }) => position)).toEqual(
        Array.from({ length: 425 }, (_, index) => positionAt(index + 6)),
      );
      expect(parts.length).toBeGreaterThan(2);
      expect(Math.max(...parts.slice(1).map(({ length }) => length))).toBeLessThan(5_000_000);
    });
  });

  describe('under policies', () => {
    const allow = (policy: string) =>
      stage.host.sql(`create policy shown on realtime.messages for select to authenticated using (${policy})`);
    beforeEach(async () => {
      await stage.host.sql('drop policy if exists shown on realtime.messages');
      await stage.messages([
        message(1, { sender: 'alice' }),
        message(2, { sender: 'bob', channel: 'order:2' }),
        message(3),
      ]);
      await stage.changes([{ place: 4, at: AT, relation: 'posts', payload: '{"new": {"secret": 1}}' }]);
    });

    it('is closed by default', async () => {
      expect(await stage.text({}, ALICE)).toBe('[]');
      expect(await stage.text({ channel: 'db:posts' as CanonicalChannel }, ALICE)).toBe('[]');
    });

    it('shows all messages to whoever sees all, and never the row of a table', async () => {
      await allow('true');
      expect(await places({ order: 'asc' })).toEqual([1, 2, 3].map(positionAt));
      expect(await stage.text({ eventName: 'INSERT' }, ALICE)).toBe('[]');
      expect(await stage.text({ channel: 'db:posts' as CanonicalChannel }, ALICE)).toBe('[]');
      expect(await stage.text({}, identityOf('anon', null))).toBe('[]');
    });

    it('shows each sender its own', async () => {
      await allow(`sender_id = current_setting('request.jwt.claims', true)::jsonb ->> 'sub'`);
      expect(await places({})).toEqual([positionAt(1)]);
      expect(await places({}, identityOf('authenticated', 'bob'))).toEqual([positionAt(2)]);
      expect(await places({ senderId: 'bob' })).toEqual([]);
    });

    it('is asked for the channel of the filter', async () => {
      await allow(`realtime.channel_name() = 'order:2'`);
      expect(await places({ channel: 'order:2' as CanonicalChannel })).toEqual([positionAt(2)]);
      expect(await places({})).toEqual([]);
    });

    it.each([
      ['a policy that raises', () => allow('1 / (position is null)::int = 1'), '22012'],
      [
        'a right that was revoked',
        () => stage.host.sql('revoke select on realtime.messages from authenticated'),
        '42501',
      ],
    ])('is denied by %s, without a word of it', async (_, prepare, sqlstate) => {
      const log = collectingLog();
      const { pool } = stage.host.db;
      const reader = new HistoryReader({ pool, policyPool: pool, roles: ['authenticated'], log });
      await prepare();
      const answer = await reader.read({ order: 'desc', limit: 10, offset: 0 }, ALICE);
      await stage.host.sql('grant select on realtime.messages to authenticated');
      expect(answer).toEqual({
        kind: 'forbidden',
        message: 'The policies of realtime.messages do not let this role read history',
      });
      expect(log.lines).toMatchObject([{ level: 'warn', fields: { sqlstate } }]);
    });

    it('changes nothing, even where a policy would', async () => {
      await stage.host.sql(`create or replace function public.note_it() returns boolean language plpgsql as
        $$ begin create table public.noted (); return true; end $$`);
      await allow('public.note_it()');
      expect(await stage.reader.read({ order: 'desc', limit: 10, offset: 0 }, ALICE)).toMatchObject({
        kind: 'forbidden',
      });
      expect(await stage.host.sql(`select to_regclass('public.noted') as noted`)).toEqual([{ noted: null }]);
    });
  });
});

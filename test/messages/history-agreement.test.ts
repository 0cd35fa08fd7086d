// Lists and statistics of random histories, held against what plain SQL finds in realtime.history: after messages and
// changes of all days, late ones among them, after deletions and after retention, for random windows and filters.

import { afterAll, beforeAll, expect, it } from 'vitest';
import type { HistoryQuery } from '../../server/messages/history-query.ts';
import { readStatistics } from '../../server/messages/history-statistics.ts';
import { describeEachPostgres } from '../rig/postgres.ts';
import { figure, isSoak, randomFrom, scaled, seed } from '../rig/scale.ts';
import {
  type HistoryStage,
  type Listed,
  openHistoryStage,
  positionAt,
  positionBound,
  timeBound,
} from './history-stage.ts';

const EVENTS = ['made', 'paid', 'INSERT', 'lost'];
const OPERATIONS = ['INSERT', 'UPDATE', 'DELETE'];
const NAMES = ['order:1', 'order:2', 'a_b'];
const RELATIONS = ['posts', 'unwatched'];
const SENDERS = ['alice', 'bob', undefined];
const MINUTE_MS = 60_000;
const DAY_MS = 1440 * MINUTE_MS;
const ROUNDS = scaled(6, 60);
const QUESTIONS = scaled(25, 100);

// The filters in the plainest words.
const ORACLE = `
  select h.id::text, h.event_name, h.channel_id::text, h.position, h.wh_audience_count, h.wh_delivered_count
  from realtime.history h
  where h.position is not null
    and ($1::uuid is null or h.channel_id = $1) and ($2::text is null or h.channel_name = $2)
    and ($3::text is null or h.event_name = $3) and ($4::text is null or h.sender_id = $4)
    and ($5::timestamptz is null or h.created_at >= $5) and ($6::timestamptz is null or h.created_at < $6)
    and ($7::text is null or h.position > $7) and ($8::text is null or h.position < $8)
  order by h.position desc`;

type Expected = {
  id: string;
  event_name: string;
  channel_id: string | null;
  position: string;
  wh_audience_count: number;
  wh_delivered_count: number;
};

describeEachPostgres('lists and statistics', (postgres) => {
  let stage: HistoryStage;
  let channels: readonly string[];
  const random = randomFrom(seed);
  const below = (limit: number): number => Math.floor(random() * limit);
  const pick = <T>(values: readonly T[]): T => values[below(values.length)] as T;
  const maybe = <T>(chance: number, value: () => T): T | undefined => (random() < chance ? value() : undefined);
  /** Noon of a day some days ago, a little around a full hour of it: the edges are where counts may go wrong. */
  const base = Math.floor(Date.now() / DAY_MS) * DAY_MS;
  const instant = (): string => {
    const minutes = pick([0, 0, 1, 59, 60, 61, 119, 120, 600]);
    const at = base - below(4) * DAY_MS + (12 * 60 + minutes) * MINUTE_MS;
    const micros = pick([0, 0, 1, 30_000_000, 59_999_999]);
    return `${new Date(at + Math.floor(micros / 1e6) * 1000).toISOString().slice(0, 19)}.${String(micros % 1e6).padStart(6, '0')}Z`;
  };
  let place = 0;

  beforeAll(async () => {
    figure(`seed ${seed}`);
    stage = await openHistoryStage(postgres);
    channels = [await stage.channel('order:*'), await stage.channel('a_b'), await stage.channel('db:posts')];
    // Two of four days have partitions, the others' rows lie in the default ones.
    for (const parent of ['messages', 'changes']) {
      for (const days of [0, 2]) {
        await stage.host.sql(`select realtime.make_partition($1, (now() at time zone 'UTC')::date - $2::int)`, [
          parent,
          days,
        ]);
      }
    }
  });
  afterAll(() => stage[Symbol.asyncDispose]());

  // A transaction may be long: its time lies as far before its position as it likes.
  async function write(): Promise<void> {
    const messages = Array.from({ length: 1 + below(60) }, () => ({
      place: ++place,
      at: instant(),
      channelId: pick([...channels, '00000000-0000-4000-8000-000000000000']),
      channel: pick(NAMES),
      event: pick(EVENTS),
      sender: pick(SENDERS),
      deliveries: pick([undefined, [2, 1], [1, 0]] as const),
    }));
    await stage.messages(messages);
    await stage.messages([{ place: 0, at: instant(), channelId: pick(channels) }], false);
    const changes = Array.from({ length: 1 + below(60) }, () => ({
      place: ++place,
      at: instant(),
      relation: pick(RELATIONS),
      op: pick(OPERATIONS),
    }));
    await stage.changes(changes);
  }

  const removals = [
    () =>
      stage.host.sql('delete from realtime.messages where event_name = $1 and position < $2', [
        pick(EVENTS),
        positionAt(below(place)),
      ]),
    () => stage.host.sql('delete from realtime.changes where position > $1', [positionAt(place - below(20))]),
    () =>
      stage.host.sql('delete from realtime.changes where op = $1 and committed_at < $2', [pick(OPERATIONS), instant()]),
    () => stage.host.sql('delete from realtime.messages where position is null'),
    () => stage.host.sql('delete from realtime.messages where false'),
    () =>
      stage.host.sql(`select realtime.drop_partition($1, (now() at time zone 'UTC')::date - 2)`, [
        pick(['messages', 'changes']),
      ]),
    () =>
      stage.host.sql('select realtime.remove_default_rows($1, $2, 0, 1000000)', [
        pick(['messages', 'changes']),
        instant(),
      ]),
    () => stage.host.sql('select realtime.settle_counts()'),
    () => stage.host.sql(`truncate realtime.${pick(['messages', 'changes'])}`),
  ];

  function question(): Partial<HistoryQuery> {
    const bound = () => (random() < 0.7 ? timeBound(instant()) : positionBound(positionAt(below(place + 2))));
    return {
      channelId: maybe(0.4, () => pick([...channels, '00000000-0000-4000-8000-000000000000'])),
      channel: maybe(0.3, () => pick([...NAMES, 'db:posts', 'db:unwatched'])) as HistoryQuery['channel'],
      eventName: maybe(0.4, () => pick([...EVENTS, 'DELETE', 'nothing'])),
      senderId: maybe(0.2, () => pick(['alice', 'bob'])),
      since: maybe(0.6, bound),
      until: maybe(0.6, bound),
    };
  }

  const timeOf = (bound: HistoryQuery['since']): string | undefined => (bound?.kind === 'time' ? bound.at : undefined);
  const positionOf = (bound: HistoryQuery['since']): string | undefined =>
    bound?.kind === 'position' ? bound.position : undefined;
  const expected = ({
    channelId,
    channel,
    eventName,
    senderId,
    since,
    until,
  }: Partial<HistoryQuery>): Promise<Expected[]> =>
    stage.host.sql<Expected>(ORACLE, [
      ...[
        channelId,
        channel,
        eventName,
        senderId,
        timeOf(since),
        timeOf(until),
        positionOf(since),
        positionOf(until),
      ].map((value) => value ?? null),
    ]);

  async function checkList(query: Partial<HistoryQuery>): Promise<void> {
    const rows = await expected(query);
    const order = pick(['asc', 'desc'] as const);
    const inOrder = order === 'asc' ? rows.toReversed() : rows;
    const [limit, offset] = [pick([1, 3, 50, 1_000]), pick([0, 0, 2, 70])];
    const listed = await stage.list({ ...query, order, limit, offset });
    const key = ({ id, position, channelId }: Listed): string => `${position} ${id} ${channelId}`;
    expect(listed.map(key), JSON.stringify({ ...query, order, limit, offset })).toEqual(
      inOrder.slice(offset, offset + limit).map((row) => `${row.position} ${row.id} ${row.channel_id}`),
    );
  }

  async function checkStatistics({ channelId, since, until }: Partial<HistoryQuery>): Promise<void> {
    const window = {
      channelId,
      since: since?.kind === 'time' ? since : undefined,
      until: until?.kind === 'time' ? until : undefined,
    };
    const rows = await expected(window);
    const events = Map.groupBy(rows, ({ event_name }) => event_name);
    const sum = (field: 'wh_audience_count' | 'wh_delivered_count'): number =>
      rows.reduce((total, row) => total + row[field], 0);
    const [whAudience, whDelivered] = [sum('wh_audience_count'), sum('wh_delivered_count')];
    const asked = { channelId, since: timeOf(window.since), until: timeOf(window.until) };
    expect(await readStatistics(stage.host.db.pool, asked), JSON.stringify(asked)).toEqual({
      totalMessages: rows.length,
      whDeliveryRate: whAudience === 0 ? 0 : whDelivered / whAudience,
      topEvents: [...events]
        .map(([eventName, { length: count }]) => ({ eventName, count }))
        .sort((a, b) => b.count - a.count || (a.eventName < b.eventName ? -1 : 1))
        .slice(0, 10),
      whAudience,
      whDelivered,
    });
    expect((await stage.list({ ...window, limit: 1_000_000 })).length).toBe(rows.length);
  }

  it(
    'agree with history to the message, whatever was written and removed',
    async () => {
      for (let round = 0; round < ROUNDS; round++) {
        await write();
        if (round % 3 === 2) await pick(removals)();
        for (let n = 0; n < QUESTIONS; n++) {
          const query = question();
          await checkList(query);
          await checkStatistics(query);
        }
        for (const remove of removals.slice(0, -1)) if (random() < 0.15) await remove();
      }
      // And at the end all of them, one after the other.
      for (const remove of removals) {
        await remove();
        for (let n = 0; n < 5; n++) await checkStatistics(question());
        await checkList(question());
        if (random() < 0.5) await write();
      }
    },
    isSoak ? 600_000 : 60_000,
  );
});

import type { Client } from 'pg';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { failureOf, type MigratedDatabase, migratedDatabase } from '../db/migrated.ts';
import { describeEachPostgres } from '../rig/postgres.ts';

const ID = '660e8400-e29b-41d4-a716-446655440000';
const RLS = 'new row violates row-level security policy for table "messages"';
const ALICE = { sub: 'alice', role: 'authenticated' };

describeEachPostgres('realtime.messages', (postgres) => {
  let host: MigratedDatabase;
  /** Where every name is a channel. */
  let wide: MigratedDatabase;
  beforeAll(async () => {
    host = await migratedDatabase(postgres);
    wide = await migratedDatabase(postgres);
    await wide.sql(`insert into realtime.channels (pattern) values ('*')`);
    await host.sql(`insert into realtime.channels (pattern, enabled, persist) values
      ('open:*', true, null), ('off:*', false, null), ('typing:*', true, false), ('db:*', true, null), ('secret:*', true, null)`);
    await host.sql(`create policy publish on realtime.messages for insert to authenticated
      with check (channel_name like 'open:%' or channel_name like 'off:%' or channel_name like 'typing:%'
                  or channel_name like 'db:%' or channel_name like 'missing:%')`);
  });
  afterAll(async () => {
    await host.close();
    await wide.close();
  });

  const INSERT = 'insert into realtime.messages (id, channel_name, event_name, payload) values ($1, $2, $3, $4)';
  const insert = (client: Client, channel: string, event = 'e', payload: unknown = 1, id: string | null = null) =>
    client.query(INSERT, [id, channel, event, JSON.stringify(payload)]);
  const stored = (client: Client) => client.query(`reset role; select * from realtime.messages order by event_name`);
  const rowsOf = async (client: Client): Promise<Record<string, unknown>[]> => {
    const results = (await stored(client)) as unknown as { rows: Record<string, unknown>[] }[];
    return results[1]?.rows ?? [];
  };
  const asAlice = <T>(work: (client: Client) => Promise<T>): Promise<T> => host.as('authenticated', ALICE, work);

  it('an insert settles sender, channel and counters', async () => {
    const [row] = await asAlice(async (client) => {
      await client.query(`select set_config('realtime.connection_id', 'c1', true)`);
      await insert(client, 'open:1', 'made', { a: [1, null] });
      return rowsOf(client);
    });
    const [channel] = await host.sql(`select id from realtime.channels where pattern = 'open:*'`);
    expect(row).toMatchObject({
      channel_id: channel?.id,
      channel_name: 'open:1',
      payload: { a: [1, null] },
      sender_type: 'user',
      sender_id: 'alice',
      connection_id: 'c1',
      position: null,
      ws_audience_count: 0,
    });
    expect(row?.id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab]/);
  });

  it('without claims the sender is the system', async () => {
    await using other = await migratedDatabase(postgres);
    await other.sql(`insert into realtime.channels (pattern) values ('a')`);
    await other.sql(`select realtime.publish('a', 'e', 'null')`);
    expect(await other.sql('select sender_type, sender_id, payload::text as payload from realtime.messages')).toEqual([
      { sender_type: 'system', sender_id: null, payload: 'null' },
    ]);
  });

  it.each(['channel_id', 'sender_type', 'sender_id', 'connection_id', 'position', 'ws_audience_count', 'created_at'])(
    'a publisher cannot name the column %s',
    async (column) => {
      const failure = await asAlice((client) =>
        failureOf(
          client.query(
            `insert into realtime.messages (channel_name, event_name, payload, ${column}) values ('open:1', 'e', '1', default)`,
          ),
        ),
      );
      expect(failure).toMatchObject({ code: '42501', message: 'permission denied for table messages' });
    },
  );

  it('forged columns of the owner are settled as well', async () => {
    await using other = await migratedDatabase(postgres);
    await other.sql(`insert into realtime.channels (pattern) values ('a')`);
    await other.sql(`insert into realtime.messages (channel_name, event_name, payload, sender_type, sender_id, position, ws_audience_count)
      values ('a', 'e', '1', 'user', 'mallory', 'ffffffff-ffffffffffffffff-ffffffff', 9)`);
    expect(
      await other.sql('select sender_type, sender_id, position, ws_audience_count as n from realtime.messages'),
    ).toEqual([{ sender_type: 'system', sender_id: null, position: null, n: 0 }]);
  });

  it('a time of its own is refused to everybody, the owner too', async () => {
    const forged = `insert into realtime.messages (channel_name, event_name, payload, created_at) values ('x', 'e', '1', $1)`;
    expect(await failureOf(wide.sql(forged, ['2020-01-01']))).toMatchObject({ code: '42501' });
    expect(await failureOf(asAlice((client) => client.query(forged, ['2020-01-01'])))).toMatchObject({ code: '42501' });
  });

  it('a payload is measured as it is sent, whatever it weighs as jsonb', async () => {
    const short = await failureOf(
      asAlice((client) => client.query(INSERT, [null, 'open:1', 'e', '[1e131000, 1e131000, 1e131000]'])),
    );
    expect(short).toMatchObject({ code: '54000' });
    const fits = JSON.stringify('x'.repeat(262_142));
    await asAlice((client) => client.query(INSERT, [null, 'open:1', 'e', fits]));
    const tooLong = JSON.stringify('x'.repeat(262_143));
    expect(await failureOf(asAlice((client) => client.query(INSERT, [null, 'open:1', 'e', tooLong])))).toMatchObject({
      code: '54000',
    });
  });

  it('a sender that no index could hold is refused', async () => {
    const long = host.as('authenticated', { ...ALICE, sub: 'x'.repeat(1001) }, (client) => insert(client, 'open:1'));
    expect(await failureOf(long)).toMatchObject({ code: '22023' });
    await host.as('authenticated', { ...ALICE, sub: 'x'.repeat(1000) }, (client) => insert(client, 'open:1'));
  });

  it('the way of the server for what is not persisted writes nothing for anybody else', async () => {
    const published = asAlice(async (client) => {
      await client.query(`select set_config('realtime.ephemeral', 'on', true)`);
      await insert(client, 'typing:1');
    });
    expect(await failureOf(published)).toMatchObject({
      code: '23514',
      message: expect.stringContaining('messages_zz_not_written'),
    });
    const forbidden = host.as('anon', {}, async (client) => {
      await client.query(`select set_config('realtime.ephemeral', 'on', true)`);
      await insert(client, 'typing:1');
    });
    expect(await failureOf(forbidden)).toMatchObject({ code: '42501', message: RLS });
  });

  it('a forbidden channel and one that does not exist get the same error', async () => {
    const failures = await Promise.all(
      ['secret:1', 'nowhere'].map((name) =>
        asAlice(async (client) => {
          const error = await insert(client, name).catch((failure) => failure);
          const { length, ...seen } = error;
          return { ...seen, message: error.message };
        }),
      ),
    );
    expect(failures[0]).toMatchObject({ code: '42501', message: RLS });
    expect(failures[1]).toEqual(failures[0]);
  });

  it.each(['missing:1', 'off:1', 'typing:1'])('a permitted but closed channel is refused: %s', async (name) => {
    const failure = await asAlice((client) => failureOf(insert(client, name)));
    expect(failure).toMatchObject({ code: '42501' });
  });

  it.each([
    ['nowhere', 'no channel matches nowhere'],
    ['off:1', 'channel off:* is disabled'],
    ['typing:1', 'channel typing:* has persist = false: SQL cannot publish to it'],
  ])('who may see every channel is told the reason: %s', async (name, message) => {
    expect(await host.failure(`select realtime.publish('${name}', 'e', '1')`)).toMatchObject({
      code: '42501',
      message,
    });
  });

  it('publish() tells the reason where the role may SELECT the channel', async () => {
    await using other = await migratedDatabase(postgres);
    await other.sql(`insert into realtime.channels (pattern, enabled) values ('seen', false), ('hidden', false)`);
    await other.sql(
      `create policy s on realtime.channels for select to authenticated using (pattern = 'seen' and realtime.channel_name() = 'seen')`,
    );
    const failures = await Promise.all(
      ['seen', 'hidden', 'unknown'].map((name) =>
        other.as('authenticated', ALICE, (client) =>
          failureOf(client.query(`select realtime.publish('${name}', 'e', '1')`)),
        ),
      ),
    );
    expect(failures.map(({ code, message }) => [code, message])).toEqual([
      ['42501', 'channel seen is disabled'],
      ['42501', RLS],
      ['42501', RLS],
    ]);
  });

  it('publish() works without SELECT and returns the id that is stored', async () => {
    const { published, row } = await asAlice(async (client) => {
      const { rows } = await client.query(`select realtime.publish('open:9', 'e', '"x"') as id`);
      return { published: rows[0].id, row: (await rowsOf(client))[0] };
    });
    expect(row?.id).toBe(published);
  });

  it('policies see the settled row and the channel name', async () => {
    await using other = await migratedDatabase(postgres);
    await other.sql(`insert into realtime.channels (pattern) values ('user:*')`);
    await other.sql(`create policy own on realtime.messages for insert to authenticated
      with check (sender_id = 'alice' and sender_type = 'user' and realtime.channel_name() = 'user:' || sender_id)`);
    await other.as('authenticated', ALICE, (client) => client.query(`select realtime.publish('user:alice', 'e', '1')`));
    const refused = other.as('authenticated', ALICE, (client) =>
      client.query(`select realtime.publish('user:bob', 'e', '1')`),
    );
    expect((await failureOf(refused)).code).toBe('42501');
  });

  it('the same id from the same sender on the same channel is one message', async () => {
    const { counts, ids, rows } = await asAlice(async (client) => {
      const counts: (number | null)[] = [];
      const ids: string[] = [];
      for (let time = 0; time < 2; time++) {
        counts.push((await insert(client, 'open:1', 'e', { a: 1, b: 2 }, ID)).rowCount);
        ids.push((await client.query(`select current_setting('realtime.last_message_id') as id`)).rows[0].id);
      }
      return { counts, ids, rows: await rowsOf(client) };
    });
    expect(counts).toEqual([1, 0]);
    expect(rows.map(({ id }) => id)).toEqual([ids[0]]);
    expect(ids[1]).toBe(ids[0]);
    expect(ids[0]).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab]/);
  });

  it('other senders and other channels may use the same id', async () => {
    const ids = await asAlice(async (client) => {
      await insert(client, 'open:1', 'a', 1, ID);
      await insert(client, 'open:2', 'b', 1, ID);
      await client.query(`select set_config('request.jwt.claims', '{"sub":"bob"}', true)`);
      await insert(client, 'open:1', 'c', 1, ID);
      return (await rowsOf(client)).map(({ id }) => id);
    });
    expect(new Set(ids).size).toBe(3);
  });

  it.each([
    ['event', 'other', 1],
    ['payload', 'e', 2],
  ])('the same id with another %s is refused', async (_, event, payload) => {
    const failure = await asAlice(async (client) => {
      await insert(client, 'open:1', 'e', 1, ID);
      return failureOf(insert(client, 'open:1', event, payload, ID));
    });
    expect(failure).toMatchObject({ code: '23505', message: expect.stringContaining('id_reused') });
  });

  it('after 24 hours an id is free again', async () => {
    const count = await asAlice(async (client) => {
      await insert(client, 'open:1', 'e', 1, ID);
      await client.query(
        `reset role; delete from realtime.messages;
         update realtime.message_ids set created_at = now() - interval '25 hours'; set role authenticated`,
      );
      return (await insert(client, 'open:1', 'e', 2, ID)).rowCount;
    });
    expect(count).toBe(1);
  });

  it('two transactions with the same id at once make one message', async () => {
    const [first, second] = await Promise.all([host.database.connect(), host.database.connect()]);
    try {
      for (const client of [first, second]) {
        await client.query('begin');
        await client.query(`select set_config('request.jwt.claims', $1, true)`, [JSON.stringify(ALICE)]);
      }
      expect((await insert(first, 'open:race', 'e', 1, ID)).rowCount).toBe(1);
      const waiting = insert(second, 'open:race', 'e', 1, ID);
      await first.query('commit');
      expect((await waiting).rowCount).toBe(0);
      await second.query('commit');
    } finally {
      await Promise.all([first.end(), second.end()]);
    }
  });

  it.each([
    ['anon by role', { sub: 'x', role: 'anon' }],
    ['without sub', { role: 'authenticated' }],
  ])('an id is refused to senders that are %s', async (_, claims) => {
    const failure = await host.as('authenticated', claims, (client) => failureOf(insert(client, 'open:1', 'e', 1, ID)));
    expect(failure.code).toBe('22023');
  });

  it.each([
    'presence:a',
    'REALTIME:a',
    'pusher:x',
    'Pusher_Internal:x',
    'phx_join',
    'system',
    'SYSTEM',
    'error',
    'connect',
    'Disconnect',
  ])('the event %s is reserved, for the owner too', async (event) => {
    const failures = [
      await host.failure(`select realtime.publish('open:1', '${event}', '1')`),
      await asAlice((client) => failureOf(insert(client, 'open:1', event))),
    ];
    expect(failures.map(({ code }) => code)).toEqual(['23514', '23514']);
  });

  it.each(['errors', 'connected', 'phx', 'mysystem', 'x.presence:'])('the event %s is not', async (event) => {
    expect(await asAlice(async (client) => (await insert(client, 'open:1', event)).rowCount)).toBe(1);
  });

  it.each(['db:posts', 'DB:posts', 'presence:x', 'Realtime:x', 'SYSTEM', 'system'])(
    'the channel %s is reserved',
    async (name) => {
      expect(await wide.failure(`select realtime.publish('${name}', 'e', '1')`)).toMatchObject({ code: '23514' });
    },
  );

  it.each([
    ['a\nb', 'e'],
    ['a b', 'e'],
    ['open:*', 'e'],
    ['a', ''],
    ['a', 'x'.repeat(201)],
  ])('channel %j with event %j is no valid name', async (name, event) => {
    const work = wide.db.pool.query('select realtime.publish($1, $2, $3)', [name, event, '1']);
    expect(await failureOf(work)).toMatchObject({ code: '23514' });
  });

  it('a deleted channel keeps its history, without the channel', async () => {
    await using other = await migratedDatabase(postgres);
    await other.sql(`insert into realtime.channels (pattern) values ('a')`);
    await other.sql(`select realtime.publish('a', 'e', '1')`);
    await other.sql('delete from realtime.channels');
    expect(await other.sql('select channel_name, channel_id from realtime.history')).toEqual([
      { channel_name: 'a', channel_id: null },
    ]);
  });

  it('new partitions have the trigger, and rows go to the day they belong to', async () => {
    await using other = await migratedDatabase(postgres);
    await other.sql(`insert into realtime.channels (pattern) values ('a')`);
    await other.sql(
      `create table realtime.messages_today (like realtime.messages including defaults including constraints)`,
    );
    await other.sql(`do $$ begin execute format('alter table realtime.messages attach partition realtime.messages_today for values from (%L) to (%L)',
      current_date, current_date + 1); end $$`);
    await other.sql(`select realtime.publish('a', 'e', '1')`);
    expect(await other.sql('select sender_type, tableoid::regclass::text as part from realtime.messages')).toEqual([
      { sender_type: 'system', part: 'realtime.messages_today' },
    ]);
  });
});

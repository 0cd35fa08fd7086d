import { createHash } from 'node:crypto';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { must } from '../../server/lib/assert.ts';
import { parsePosition } from '../../server/lib/position.ts';
import { messageIdMask, messageIds, positionOfMessageId } from '../../server/protocol/message-id.ts';
import { type MigratedDatabase, migratedDatabase } from '../db/migrated.ts';
import { describeEachPostgres } from '../rig/postgres.ts';

describeEachPostgres('ids and names in SQL', (postgres) => {
  let host: MigratedDatabase;
  beforeAll(async () => {
    host = await migratedDatabase(postgres);
  });
  afterAll(() => host.close());

  it('uuid_v7() carries the milliseconds of now, version 7 and the RFC variant', async () => {
    const now = `floor(extract(epoch from clock_timestamp()) * 1000)::int8`;
    const [row] = await host.sql<{ before: bigint; id: string; after: bigint }>(
      `select ${now} as before, realtime.uuid_v7()::text as id, ${now} as after`,
    );
    expect(row?.id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    const ms = BigInt(`0x${(row?.id ?? '').replace('-', '').slice(0, 12)}`);
    expect(row !== undefined && row.before <= ms && ms <= row.after).toBe(true);
  });

  it.each([
    '00000001-0000000000000008-00000001',
    '674199aa-00000000016b3740-000f4240',
    'ffffffff-fffffffffffffff8-1fffffff',
    '80000000-8000000000000000-00000000',
  ])('message_id() of %s is the UUIDv8 that the server makes', async (position) => {
    const systemIdentifier = '7123456789012345678';
    const [row] = await host.sql<{ id: string }>('select realtime.message_id($1, $2)::text as id', [
      position,
      systemIdentifier,
    ]);
    expect(row?.id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    const mask = messageIdMask(createHash('sha256').update(`rowcast:${systemIdentifier}`).digest());
    const { epoch, lsn, index } = must(parsePosition(position), 'position');
    expect(row?.id).toBe(messageIds(mask, epoch, lsn)(index));
    expect(positionOfMessageId(mask, row?.id ?? '')).toEqual({ epoch, lsn, index });
  });

  it('message_id() takes the system identifier from the checkpoint', async () => {
    const position = '00000001-0000000000000008-00000001';
    const ask = () =>
      host.sql('select realtime.message_id($1) = realtime.message_id($1, $2) as same', [position, '42']);
    expect(await ask()).toEqual([{ same: null }]);
    await host.sql(`update realtime.checkpoint set system_identifier = '42'`);
    expect(await ask()).toEqual([{ same: true }]);
  });

  it.each([
    ['posts', 'posts'],
    ['"posts"', 'posts'],
    ['public.posts', 'posts'],
    ['Posts', '"Posts"'],
    ['audit.Order Items', 'audit."Order Items"'],
    ['audit."Order Items"', 'audit."Order Items"'],
    ['"we.ird"."qu""ote"', '"we.ird"."qu""ote"'],
    ['user', 'user'],
  ])('the table %s is spelled %s', async (spelling, canonical) => {
    await host.sql(`create schema if not exists audit; create schema if not exists "we.ird";
      create table if not exists posts (); create table if not exists "Posts" (); create table if not exists "user" ();
      create table if not exists audit."Order Items" (); create table if not exists "we.ird"."qu""ote" ()`);
    expect(await host.sql('select realtime.relation_name(realtime.relation_oid($1)) as name', [spelling])).toEqual([
      { name: canonical },
    ]);
  });

  it.each(['nothing', 'a.b.c', '', 'POSTS', 'audit.posts'])('%j is no table', async (spelling) => {
    expect(await host.sql('select realtime.relation_oid($1) as oid', [spelling])).toEqual([{ oid: null }]);
  });

  it('auth.uid(), auth.role() and auth.jwt() read the claims, and stand nothing at all', async () => {
    const ask = (claims: string) =>
      host.as('anon', null, async (client) => {
        await client.query(`select set_config('request.jwt.claims', $1, true)`, [claims]);
        return (await client.query(`select auth.uid() as uid, auth.role() as role, auth.jwt() as jwt`)).rows[0];
      });
    const sub = '00000000-0000-0000-0000-000000000001';
    expect(await ask(JSON.stringify({ sub, role: 'anon' }))).toEqual({
      uid: sub,
      role: 'anon',
      jwt: { sub, role: 'anon' },
    });
    expect(await ask('')).toEqual({ uid: null, role: null, jwt: null });
    expect(await ask('{"sub":"","role":null}')).toEqual({ uid: null, role: null, jwt: { sub: '', role: null } });
  });

  it('history unites messages and row changes', async () => {
    await using other = await migratedDatabase(postgres);
    await other.sql(
      `create table posts (id int primary key); select realtime.watch('posts'); update realtime.checkpoint set system_identifier = '42'`,
    );
    const position = '00000001-0000000000000008-00000001';
    await other.sql(
      `insert into realtime.changes (position, committed_at, relation, op, payload, ws_audience_count)
      values ($1, '2024-01-15 10:30:00Z', 'posts', 'INSERT', '{"new":{"id":1}}', 3)`,
      [position],
    );
    const [channel] = await other.sql(`select id from realtime.channels where pattern = 'db:posts'`);
    const [id] = await other.sql(`select realtime.message_id($1, '42') as id`, [position]);
    expect(await other.sql('select * from realtime.history')).toEqual([
      {
        id: id?.id,
        event_name: 'INSERT',
        channel_id: channel?.id,
        channel_name: 'db:posts',
        payload: '{"new": {"id": 1}}',
        sender_type: 'system',
        sender_id: null,
        ws_audience_count: 3,
        wh_audience_count: 0,
        wh_delivered_count: 0,
        created_at: '2024-01-15 10:30:00+00',
        position,
      },
    ]);
  });
});

// The statement in which sockets and REST publish: whose rights it has, what it leaves, and where it says that the
// fault lies. And the bound of a payload, which holds for SQL as well.

import { afterAll, beforeAll, expect, it } from 'vitest';
import { type MigratedDatabase, migratedDatabase } from '../db/migrated.ts';
import { describeEachPostgres } from '../rig/postgres.ts';

const CLAIMS = JSON.stringify({ sub: 'alice', role: 'authenticated' });

type Failure = { readonly code: string; readonly message: string; readonly column: string | undefined };

describeEachPostgres('realtime.publish_as', (postgres) => {
  let host: MigratedDatabase;
  beforeAll(async () => {
    host = await migratedDatabase(postgres);
    await host.sql(`insert into realtime.channels (pattern, persist) values ('a:*', true), ('typing', false)`);
    await host.sql(
      `create function fails() returns boolean language plpgsql as $$ begin assert false, 'never'; return true; end $$`,
    );
    await host.sql(`create policy p on realtime.messages for insert to authenticated with check (
      case channel_name when 'a:number' then (payload #>> '{}')::int > 0 when 'a:assert' then fails() else channel_name <> 'a:no' end)`);
  });
  afterAll(() => host.close());

  const publish = (role: string | null, channels: readonly string[], payload = '1') =>
    host.db.pool.query(
      `select * from realtime.publish_as($1, $2, null, $3::uuid[], $4::text[], $5::text[], $6::text[])`,
      [role, CLAIMS, channels.map(() => null), channels, channels.map(() => 'e'), channels.map(() => payload)],
    );
  const failure = async (...given: Parameters<typeof publish>): Promise<Failure> => {
    const { code, message, column } = await publish(...given).then(
      () => ({ code: 'none', message: '', column: undefined }),
      (error: Failure) => error,
    );
    return { code, message, column };
  };

  it.each([
    ['a policy denies', 'a:no', '1', '42501'],
    ['a policy raises', 'a:number', '"x"', '22P02'],
    ['a policy fails an assertion', 'a:assert', '1', 'P0004'],
    ['there is no channel', 'b', '1', '42501'],
    ['the name is reserved', 'a:1', '1', '23514'],
    ['the payload is too large', 'a:1', JSON.stringify('x'.repeat(300_000)), '54000'],
    ['jsonb cannot hold the payload', 'a:1', '"\\u0000"', '22P05'],
  ])('says which message it was where %s', async (what, channel, payload, code) => {
    const event = what === 'the name is reserved' ? 'system' : 'e';
    const ids = [null, null];
    const error: Failure = await host.db.pool
      .query(
        `select * from realtime.publish_as('authenticated', $1, null, $2::uuid[], $3::text[], $4::text[], $5::text[])`,
        [CLAIMS, ids, ['a:1', channel], ['e', event], ['1', payload]],
      )
      .catch((refused) => refused);
    expect([error.code, error.column]).toEqual([code, '2']);
    expect(await host.sql('select id from realtime.messages')).toEqual([]);
  });

  it('takes no role that is none, the login itself, or unknown', async () => {
    const [login] = await host.sql<{ name: string }>('select current_user::text as name');
    for (const role of ['none', 'nobody_of_that_name', String(login?.name)]) {
      expect(await failure(role, ['a:1'])).toMatchObject({ code: '22023', column: undefined });
    }
  });

  it('leaves neither role nor claims behind, whatever came of it', async () => {
    const client = await host.database.connect();
    const call = (channel: string) =>
      client.query(`select * from realtime.publish_as('authenticated', $1, 'c', '{null}', $2::text[], '{e}', '{1}')`, [
        CLAIMS,
        [channel],
      ]);
    for (const channel of ['typing', 'a:no']) await call(channel).catch(() => undefined);
    const { rows } = await client.query(`select current_user = session_user as is_itself,
      coalesce(current_setting('request.jwt.claims', true), '') as claims, current_setting('realtime.ephemeral', true) as ephemeral`);
    expect(rows).toEqual([{ is_itself: true, claims: '', ephemeral: '' }]);
    await client.end();
  });

  it('of a payload that is short to write and long to print is refused, in SQL as well', async () => {
    const bomb = `[${Array.from({ length: 40 }, () => '1e131071').join(',')}]`;
    expect(await failure('authenticated', ['a:1'], bomb)).toMatchObject({ code: '54000', column: '1' });
    const { code, message } = await host.failure(`select realtime.publish('a:1', 'e', '${bomb}')`);
    expect([code, message]).toEqual(['54000', 'payload_too_large: a payload has at most 262144 bytes']);
    expect(await host.sql('select id from realtime.messages')).toEqual([]);
  });
});

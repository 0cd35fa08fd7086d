// The user's policies on realtime.channels, asked by the login that may do nothing else.

import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { makeIdentity } from '../../server/auth/make-identity.ts';
import { settlePolicyLogin } from '../../server/db/policy-login.ts';
import type { Database } from '../../server/db/pools.ts';
import { must } from '../../server/lib/assert.ts';
import { ChannelJudge, type ChannelVerdict } from '../../server/policies/channel-judge.ts';
import { collectingLog, type MigratedDatabase, migratedDatabase, openTestPool } from '../db/migrated.ts';
import { describeEachPostgres } from '../rig/postgres.ts';

const ROLES = ['anon', 'authenticated', 'judge_bypass', 'judge_untaken', 'judge_missing'];

describeEachPostgres('a policy on realtime.channels', (postgres) => {
  let migrated: MigratedDatabase;
  let policies: Database;
  let judge: ChannelJudge;
  const ids = new Map<string, string>();

  beforeAll(async () => {
    migrated = await migratedDatabase(postgres);
    await migrated.sql(
      `do $$ begin create role judge_bypass bypassrls; exception when duplicate_object then null; end $$`,
    );
    await migrated.sql(`do $$ begin create role judge_untaken; exception when duplicate_object then null; end $$`);
    const log = collectingLog();
    const { pool } = migrated.db;
    const settled = await settlePolicyLogin({
      pool,
      databaseUrl: migrated.database.url,
      policyUrl: undefined,
      roles: ['anon', 'authenticated'],
      log,
    });
    if (!settled.ok) throw new Error(settled.message);
    policies = openTestPool(settled.url);
    judge = new ChannelJudge(policies.pool, ROLES);
    for (const pattern of ['order:*', 'chat:1', 'chat:2']) {
      const rows = await migrated.sql<{ id: string }>(
        'insert into realtime.channels (pattern) values ($1) returning id',
        [pattern],
      );
      ids.set(pattern, must(rows[0], 'a channel').id);
    }
  });
  afterAll(async () => {
    await policies.close();
    await migrated.sql('drop owned by judge_bypass, judge_untaken');
    await migrated.close();
  });
  beforeEach(async () => {
    const rows = await migrated.sql<{ polname: string }>(
      `select polname from pg_policy where polrelid = 'realtime.channels'::regclass`,
    );
    for (const { polname } of rows) await migrated.sql(`drop policy ${polname} on realtime.channels`);
  });

  type Asked = { role?: string; claims?: object; name?: string; pattern?: string; oid?: number };
  const question = ({ role = 'authenticated', claims = {}, name = 'order:1', pattern = 'order:*', oid }: Asked) => ({
    identity: makeIdentity({ role, isAdmin: false, claims: { ...claims } }),
    channelName: name,
    channelId: ids.get(pattern) ?? null,
    tableOid: oid ?? null,
  });
  const ask = async (...asked: Asked[]): Promise<readonly ChannelVerdict[]> => judge.judge(asked.map(question));
  const sees = async (...asked: Asked[]): Promise<boolean[]> =>
    (await ask(...asked)).map(({ seesChannel }) => seesChannel);

  it('is closed where there is none', async () => {
    expect(await sees({}, { role: 'anon' })).toEqual([false, false]);
  });

  it('is asked with role, claims and the concrete name, whatever was asked before it', async () => {
    await migrated.sql(`create policy own on realtime.channels for select to authenticated
      using (realtime.channel_name() = 'order:' || (auth.jwt() ->> 'sub'))`);
    expect(
      await sees(
        { claims: { sub: '1' } },
        { claims: { sub: '2' } },
        { claims: { sub: '1' }, role: 'anon' },
        { claims: {} },
        { claims: { sub: '2' }, name: 'order:2' },
        { claims: { sub: '1' } },
      ),
    ).toEqual([true, false, false, false, true, true]);
  });

  it('is not fooled by a claim function that is marked immutable', async () => {
    await migrated.sql(`create or replace function lying_sub() returns text language sql immutable
      as $$ select current_setting('request.jwt.claims', true)::jsonb ->> 'sub' $$`);
    await migrated.sql(
      `create policy own on realtime.channels using (realtime.channel_name() = 'order:' || lying_sub())`,
    );
    expect(await sees({ claims: { sub: '1' } }, { claims: { sub: '2' } })).toEqual([true, false]);
    expect(await sees({ claims: { sub: '2' } }, { claims: { sub: '1' } })).toEqual([false, true]);
  });

  it('that raises denies that one question and tells what it raised', async () => {
    await migrated.sql(`create policy broken on realtime.channels using ((auth.jwt() ->> 'n')::int = 1)`);
    expect(await ask({ claims: { n: 1 } }, { claims: { n: 'x' } }, { claims: { n: 1 } })).toMatchObject([
      { seesChannel: true, failure: null },
      { seesChannel: false, failure: { sqlstate: '22P02', message: expect.stringContaining('x') } },
      { seesChannel: true, failure: null },
    ]);
  });

  it('may read tables under the rights of the role, and cannot write', async () => {
    await migrated.sql(`create table members (room text, sub text); grant select, insert on members to authenticated;
      insert into members values ('chat:1', 'a')`);
    await migrated.sql(`create policy member on realtime.channels using (exists (
      select from members m where m.room = realtime.channel_name() and m.sub = auth.jwt() ->> 'sub'))`);
    const of = (sub: string) => ({ claims: { sub }, name: 'chat:1', pattern: 'chat:1' });
    expect(await sees(of('a'), of('b'))).toEqual([true, false]);
    await migrated.sql(`create or replace function greedy() returns boolean language plpgsql volatile
      as $$ begin insert into members values ('chat:1', 'b'); return true; end $$`);
    await migrated.sql(
      'drop policy member on realtime.channels; create policy greedy on realtime.channels using (greedy())',
    );
    expect(await ask(of('b'))).toMatchObject([{ seesChannel: false, failure: { sqlstate: '25006' } }]);
  });

  it('does not bind a role with bypassrls, which is judged from the catalogue and never taken', async () => {
    const asked = { role: 'judge_bypass' };
    expect(await sees(asked)).toEqual([false]);
    await migrated.sql(
      'grant usage on schema realtime to judge_bypass; grant select on realtime.channels to judge_bypass',
    );
    expect(await sees(asked, { ...asked, pattern: 'no such' })).toEqual([true, false]);
  });

  it.each([
    ['that the login may not take', 'judge_untaken', '42501'],
    ['that does not exist', 'judge_missing', '22023'],
    ['that is not listed', 'postgres', '22023'],
    ['none', 'none', '22023'],
  ])('is never asked for a role %s', async (_, role, sqlstate) => {
    await migrated.sql('create policy all_of_them on realtime.channels using (true)');
    expect(await ask({ role }, {})).toMatchObject([
      { seesChannel: false, readsTable: false, failure: { sqlstate } },
      { seesChannel: true, failure: null },
    ]);
  });

  it('is about nothing where there is no row', async () => {
    await migrated.sql('create policy all_of_them on realtime.channels using (true)');
    expect(await ask({ pattern: 'no such' })).toEqual([{ seesChannel: false, readsTable: null, failure: null }]);
  });

  describe('and a table', () => {
    it('can be read with one column and its schema, and not without', async () => {
      await migrated.sql('create policy all_of_them on realtime.channels using (true)');
      const [{ oid = 0 } = {}] = await migrated
        .sql<{ oid: number }>(`create schema shut; create table shut.t (a int, b int)`)
        .then(() => migrated.sql<{ oid: number }>(`select 'shut.t'::regclass::oid as oid`));
      const reads = async (): Promise<boolean | null | undefined> => (await ask({ oid }))[0]?.readsTable;
      expect(await reads()).toBe(false);
      await migrated.sql('grant select (b) on shut.t to authenticated');
      expect(await reads()).toBe(false);
      await migrated.sql('grant usage on schema shut to authenticated');
      expect(await reads()).toBe(true);
      await migrated.sql('drop table shut.t');
      expect(await reads()).toBeNull();
    });
  });

  it('that waits for a lock rejects, and allows nothing', async () => {
    await migrated.sql('create policy all_of_them on realtime.channels using (true)');
    const holder = await migrated.database.connect();
    await holder.query('begin; lock table realtime.channels in access exclusive mode');
    await expect(ask({})).rejects.toMatchObject({ code: '55P03' });
    await holder.query('rollback');
    await holder.end();
    expect(await sees({})).toEqual([true]);
  });

  it.each([
    ['quotes', { sub: `'"; reset role; --` }],
    ['a zero byte, which jsonb cannot hold', { sub: 'a\0b' }],
    ['depth', { deep: JSON.parse(`${'['.repeat(60)}${']'.repeat(60)}`) }],
    ['size', { huge: 'x'.repeat(200_000) }],
  ])('with claims of %s never allows what it should not', async (_, claims) => {
    await migrated.sql(`create policy own on realtime.channels using (auth.jwt() ->> 'sub' = '1')`);
    expect(await sees({ claims }, { claims: { sub: '1' } })).toEqual([false, true]);
  });

  it('cannot be asked by anybody but the policy login', async () => {
    await expect(
      migrated.as('authenticated', {}, (client) =>
        client.query(`select realtime.judge_channels('{}', '{}', '{}', '{}', '{}')`),
      ),
    ).rejects.toMatchObject({ code: '42501' });
  });
});

// The whole decision over real databases: how many statements it takes, what it does when the database cannot
// be asked, and that reviews read anew.

import type { Pool } from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Identity } from '../../server/auth/identity.ts';
import { ChannelStore } from '../../server/channels/channel-store.ts';
import { settlePolicyLogin } from '../../server/db/policy-login.ts';
import { type Database, openPool } from '../../server/db/pools.ts';
import { must } from '../../server/lib/assert.ts';
import { ChannelJudge } from '../../server/policies/channel-judge.ts';
import { ChannelPolicy } from '../../server/policies/channel-policy.ts';
import { JudgeCall } from '../../server/policies/judge-call.ts';
import { TableRulesStore } from '../../server/policies/table-rules-store.ts';
import { collectingLog, type MigratedDatabase, migratedDatabase, openTestPool } from '../db/migrated.ts';
import { describeEachPostgres } from '../rig/postgres.ts';
import { identityOf, parsed } from './channel-cases.ts';

const ROLES = ['anon', 'authenticated'];
const user = identityOf('authenticated', { sub: 'u' });

describeEachPostgres('the decision to subscribe', (postgres) => {
  let migrated: MigratedDatabase;
  let server: Database;
  let policies: Database;
  const statements: string[] = [];
  let isReady = true;
  const outcomes: string[] = [];

  beforeAll(async () => {
    migrated = await migratedDatabase(postgres);
    const log = collectingLog();
    const { url } = migrated.database;
    const options = { pool: migrated.db.pool, databaseUrl: url, policyUrl: undefined, roles: ROLES, log };
    const settled = await settlePolicyLogin(options);
    if (!settled.ok) throw new Error(settled.message);
    server = openTestPool(url);
    policies = openPool({
      connectionString: settled.url,
      applicationName: 'policies',
      max: 2,
      statementTimeoutMs: 300,
      log,
    });
    await migrated.sql(`create table shown (id int primary key, note text); create table ungranted (id int primary key);
      create table unwatched (id int primary key); create table disabled (id int primary key);
      create schema shut; create table shut.t (id int primary key);
      grant select on shown, unwatched, disabled, shut.t to authenticated;
      insert into realtime.channels (pattern) values ('open:*'), ('raises:*'), ('slow:*'), ('hidden:*');
      insert into realtime.channels (pattern, enabled) values ('closed:*', false);
      select realtime.watch(t) from unnest('{shown,ungranted,disabled,shut.t}'::regclass[]) t;
      update realtime.channels set enabled = false where pattern = 'db:disabled';
      update realtime.watched set completed = true;
      create policy shown on realtime.channels using (case
        when pattern = 'raises:*' then 1 / (auth.jwt() ->> 'zero')::int = 1
        when pattern = 'slow:*' then (select true from pg_sleep(5))
        else pattern <> 'hidden:*' end)`);
  });
  afterAll(async () => {
    await Promise.all([server.close(), policies.close()]);
    await migrated.close();
  });

  /** Every statement that goes to either login is noted. */
  function counted(pool: Pool, login: string): Pool {
    const query = (...args: unknown[]): unknown => {
      statements.push(`${login}: ${String(args[0]).trim().slice(0, 40)}`);
      return (pool.query as (...args: unknown[]) => unknown)(...args);
    };
    const connect = (): unknown => {
      statements.push(`${login}: a session`);
      return pool.connect();
    };
    return new Proxy(pool, {
      get: (target, name) => (name === 'query' ? query : name === 'connect' ? connect : Reflect.get(target, name)),
    });
  }

  function policyOver(serverPool: Pool = server.pool, policyPool: Pool = policies.pool): ChannelPolicy {
    const store = new ChannelStore(counted(serverPool, 'server'), () => true);
    return new ChannelPolicy({
      channels: { facts: (channels) => store.facts(channels), waitUntilComplete: async () => false },
      judge: new ChannelJudge(counted(policyPool, 'policies'), ROLES),
      rules: new TableRulesStore(counted(serverPool, 'server'), ROLES),
      whereJudge: new JudgeCall(policyPool),
      isReady: () => isReady,
      onDecision: (outcome) => void outcomes.push(outcome),
      now: () => performance.now(),
    });
  }

  async function decide(name: string, identity: Identity = user, policy = policyOver()) {
    statements.length = 0;
    const decision = await policy.decide(identity, parsed(name));
    return { decision, statements: [...statements] };
  }

  const REFUSED = { code: 'channel_unavailable', message: 'Channel not found or not accessible' };

  it('of what is refused is the same, and runs the same statements, whatever the reason', async () => {
    const names = [
      'no:such:channel',
      'closed:1',
      'hidden:1',
      'raises:1',
      'db:no_such_table',
      'db:no_such_schema.t',
      'db:unwatched',
      'db:ungranted',
      'db:disabled',
      'db:shut.t',
      'db:pg_catalog.pg_authid',
      'db:realtime.messages',
    ];
    const zero = identityOf('authenticated', { zero: 0 });
    const answers = await Promise.all(
      names.map(async (name) => {
        const { decision } = await decide(name, zero);
        return decision.allowed ? name : decision.refusal;
      }),
    );
    expect(answers).toEqual(names.map(() => REFUSED));
    const counts: string[][] = [];
    for (const name of names) counts.push((await decide(name, zero)).statements);
    expect(new Set(counts.map((each) => JSON.stringify(each))).size).toBe(1);
    expect(counts[0]).toHaveLength(2);
  });

  it('of what is allowed carries the rules of the table', async () => {
    const { decision } = await decide('db:shown');
    expect(decision).toMatchObject({ allowed: true, warnings: [], isComplete: true });
    expect(decision.allowed && [...(decision.table?.columns.keys() ?? [])]).toEqual(['id', 'note']);
    expect((await decide('open:1')).decision).toMatchObject({ allowed: true, table: null });
  });

  it('of an admin never asks the policies', async () => {
    const { decision, statements: ran } = await decide('hidden:1', identityOf('service_role'));
    expect(decision.allowed).toBe(true);
    expect(ran.filter((each) => each.startsWith('policies'))).toEqual([]);
  });

  it('of the same class and channel is not asked again for a moment, until it is forgotten', async () => {
    const policy = policyOver();
    expect((await decide('open:1', user, policy)).statements).not.toEqual([]);
    expect((await decide('open:1', user, policy)).statements).toEqual([]);
    policy.forget();
    expect((await decide('open:1', user, policy)).statements).not.toEqual([]);
  });

  it('is unavailable before there was a stream, while a policy does not answer, and until a table is complete', async () => {
    const unavailable = { allowed: false, refusal: { code: 'unavailable' } };
    isReady = false;
    expect((await decide('open:1')).decision).toMatchObject(unavailable);
    isReady = true;
    expect((await decide('slow:1')).decision).toMatchObject(unavailable);
    await migrated.sql(`update realtime.watched set completed = false where relation = 'shown'`);
    expect((await decide('db:shown')).decision).toMatchObject(unavailable);
    expect((await decide('db:ungranted')).decision).toMatchObject({ refusal: REFUSED });
    await migrated.sql('update realtime.watched set completed = true');
  });

  it('is unavailable, and not allowed, while neither login can be reached', async () => {
    const gone = openTestPool('postgres://nobody@127.0.0.1:1/none');
    for (const policy of [policyOver(gone.pool), policyOver(server.pool, gone.pool)]) {
      const { decision } = await decide('open:1', user, policy);
      expect(decision).toMatchObject({ allowed: false, refusal: { code: 'unavailable' } });
    }
    await gone.close();
  });

  it('is counted by its outcome', async () => {
    outcomes.length = 0;
    for (const name of ['open:1', 'hidden:1', 'slow:1']) await decide(name);
    expect(outcomes).toEqual(['allowed', 'refused', 'undecided']);
  });

  describe('again, while subscriptions are live', () => {
    const review = async (...asked: [string, Identity?][]) => {
      statements.length = 0;
      const questions = asked.map(([name, identity = user]) => ({ identity, channel: parsed(name) }));
      return policyOver().review(questions);
    };

    it('answers many questions with as many statements as one, in their order', async () => {
      const many = Array.from({ length: 150 }, (_, n): [string] => [n % 3 === 0 ? `open:${n}` : `hidden:${n}`]);
      const decisions = await review(...many, ['db:shown'], ['hidden:1', identityOf('service_role')]);
      expect(decisions.map(({ allowed }) => allowed)).toEqual([...many.map((_, n) => n % 3 === 0), true, true]);
      expect(statements).toHaveLength(3);
    });

    it('says why each is over', async () => {
      const decisions = await review(['no:such'], ['closed:1'], ['hidden:1'], ['db:unwatched'], ['db:disabled']);
      expect(decisions.map((decision) => (decision.allowed ? '' : decision.endReason))).toEqual([
        'channel_deleted',
        'channel_disabled',
        'not_allowed',
        'table_unwatched',
        'channel_disabled',
      ]);
    });

    it('leaves a policy that never ends undecided, and answers the others', async () => {
      const decisions = await review(['open:1'], ['slow:1'], ['hidden:1'], ['open:2']);
      expect(decisions.map((each) => (each.allowed ? 'allowed' : each.refusal.code))).toEqual([
        'allowed',
        'unavailable',
        'channel_unavailable',
        'allowed',
      ]);
    });

    it('does not wait for a table to be complete', async () => {
      await migrated.sql(`update realtime.watched set completed = false where relation = 'shown'`);
      expect(await review(['db:shown'])).toMatchObject([{ allowed: true }]);
      await migrated.sql('update realtime.watched set completed = true');
    });
  });

  describe('and its filter', () => {
    it.each([
      ['a column that may not be read', { where: { note: 'x' } }],
      ['a column that does not exist', { where: { nope: 'x' } }],
    ])('is refused alike, without a statement, for %s', async (_, filter) => {
      await migrated.sql('revoke select on shown from authenticated; grant select (id) on shown to authenticated');
      const policy = policyOver(server.pool, counted(policies.pool, 'filter'));
      const { decision } = await decide('db:shown', user, policy);
      const table = must(decision.allowed ? decision.table : null, 'the rules of the table');
      statements.length = 0;
      const read = await policy.readFilter(user, table, filter);
      const message = read.ok ? '' : read.refusal.message.replaceAll(/note|nope/g, 'C');
      expect(message).toBe('where: column "C" does not exist');
      expect(statements).toEqual([]);
      const columns = await policy.readFilter(user, table, { columns: Object.keys(filter.where) });
      expect(columns).toMatchObject({ ok: false, refusal: { code: 'bad_filter' } });
      await migrated.sql('grant select on shown to authenticated');
    });

    it('that is good is one for all who write it alike', async () => {
      const policy = policyOver(server.pool, counted(policies.pool, 'filter'));
      const { decision } = await decide('db:shown', user, policy);
      const table = must(decision.allowed ? decision.table : null, 'the rules of the table');
      statements.length = 0;
      const filter = { where: { id: { gt: 1 } }, columns: ['note'] };
      const [a, b] = [await policy.readFilter(user, table, filter), await policy.readFilter(user, table, filter)];
      expect(a).toMatchObject({ ok: true, filter: { columns: new Set(['note']) } });
      expect(a).toEqual(b);
      expect(statements).toEqual(['filter: a session', 'filter: a session']);
    });
  });
});

// What reaches whom: rows judged on the image of the change, and told so that a copy stays equal to what a
// SELECT would show. Each case by hand; random ones are test/oracle's.

import { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { describeEachPostgres } from '../rig/postgres.ts';
import { until } from '../rig/until.ts';
import { startTestApp, type TestApp } from './test-app.ts';
import type { ChangeFrame, TestClient } from './test-client.ts';

const ALICE = '00000000-0000-4000-8000-00000000000a';
const BOB = '00000000-0000-4000-8000-00000000000b';

/** What a client was told, without what is the same for everybody. */
type Told = { event: string; new?: unknown; old?: unknown; cause?: unknown; unchanged?: unknown; truncated?: unknown };

describeEachPostgres('a subscriber of a table', (postgres) => {
  let app: TestApp;
  let count = 0;

  beforeAll(async () => {
    await withClient(postgres.url, (client) => client.query(ROLES));
    app = await startTestApp(postgres, {
      env: { ROWCAST_ROLES: 'anon,authenticated,rig_editor', ROWCAST_POLICY_TIMEOUT: '400ms' },
      sql: SETUP,
    });
  });
  afterAll(() => app[Symbol.asyncDispose]());

  const run = (sql: string): Promise<unknown> => app.database.query(sql);
  const user = (sub: string, claims: object = {}, role = 'authenticated'): Promise<TestClient> =>
    app.client(app.token(role, { sub, ...claims }));

  /** A watched table with whole old rows and row security; `\bT\b` stands for its name. */
  async function table(columns: string, ...statements: string[]): Promise<string> {
    return watched(columns, true, statements);
  }

  async function watched(columns: string, full: boolean, statements: readonly string[]): Promise<string> {
    const name = `t${++count}`;
    const all = [
      `create table T (${columns})`,
      'alter table T enable row level security',
      'grant select on T to anon, authenticated, rig_editor',
      ...statements,
      `select realtime.watch('T', ${full})`,
    ];
    await run(named(all.join(';\n'), name));
    return name;
  }

  const named = (sql: string, name: string): string => sql.replaceAll(/\bT\b/g, name);

  /** Runs statements, each in a transaction of its own, and returns what the clients were told of them. */
  async function told(name: string, clients: readonly TestClient[], ...statements: string[]): Promise<Told[][]> {
    for (const sql of statements) await run(named(sql, name));
    return settled(name, clients);
  }

  /** What came so far, once everything that was committed has been delivered. */
  async function settled(name: string, clients: readonly TestClient[]): Promise<Told[][]> {
    const witness = await app.client();
    await witness.subscribe('db:fence');
    const [row] = await app.database.query<{ id: number }>('insert into fence default values returning id');
    await until(() => witness.changes().some(({ payload }) => payload.new?.id === row?.id), { what: 'the fence' });
    for (const client of clients) await answered(client);
    await witness.close();
    return clients.map((client) =>
      client
        .changes()
        .filter(({ payload }) => payload.table === name)
        .map(toldOf),
    );
  }

  async function answered(client: TestClient): Promise<void> {
    const ref = `ping${client.frames.length}`;
    client.send({ type: 'ping', ref });
    await until(() => client.frames.some((frame) => frame.ref === ref), { what: 'a pong' });
  }

  function toldOf({ event, payload }: ChangeFrame): Told {
    const {
      new: fresh,
      old,
      cause,
      unchanged,
      truncated,
    } = payload as ChangeFrame['payload'] & Record<string, unknown>;
    expect(payload).toMatchObject({ eventType: event });
    const rest = Object.entries({ cause, unchanged, truncated }).filter(([, value]) => value !== undefined);
    return {
      event,
      ...(fresh === null ? {} : { new: fresh }),
      ...(old === null ? {} : { old }),
      ...Object.fromEntries(rest),
    };
  }

  const subscribed = async (client: TestClient, name: string, filter?: object): Promise<TestClient> => {
    await client.subscribe(`db:${name}`, filter === undefined ? {} : { filter });
    return client;
  };

  describe('that is judged on the image', () => {
    it('never gets a private row, although it is public by the time of delivery', async () => {
      const name = await table('id int primary key, note text, public bool', 'create policy p on T using (public)');
      const client = await subscribed(await user(ALICE), name);
      const [got] = await told(
        name,
        [client],
        `begin; insert into T values (1, 'secret', false); update T set note = 'fine', public = true; commit`,
      );
      expect(got).toEqual([{ event: 'INSERT', new: { id: 1, note: 'fine', public: true }, cause: 'UPDATE' }]);
    });

    it('gets a row that is gone by the time of delivery', async () => {
      const name = await table('id int primary key, owner uuid', 'create policy own on T using (owner = auth.uid())');
      const client = await subscribed(await user(ALICE), name);
      const [got] = await told(name, [client], `begin; insert into T values (1, '${ALICE}'); delete from T; commit`);
      const row = { id: 1, owner: ALICE };
      expect(got).toEqual([
        { event: 'INSERT', new: row },
        { event: 'DELETE', old: row },
      ]);
    });
  });

  describe('whose view changes', () => {
    it('is told of rows that enter and leave it, and of nothing outside', async () => {
      const name = await table('id int primary key, note text, public bool', 'create policy p on T using (public)');
      const client = await subscribed(await user(ALICE), name);
      const [got] = await told(
        name,
        [client],
        `insert into T values (1, 'a', false)`,
        `update T set note = 'b'`,
        `update T set public = true`,
        `update T set note = 'c'`,
        `update T set note = 'd', public = false`,
        `update T set note = 'e'`,
        `delete from T`,
      );
      expect(got).toEqual([
        { event: 'INSERT', new: { id: 1, note: 'b', public: true }, cause: 'UPDATE' },
        { event: 'UPDATE', new: { id: 1, note: 'c', public: true }, old: { id: 1, note: 'b', public: true } },
        { event: 'DELETE', old: { id: 1 }, cause: 'UPDATE' },
      ]);
    });

    it('sees a row move from one owner to the other', async () => {
      const name = await table('id int primary key, owner uuid', 'create policy own on T using (owner = auth.uid())');
      const clients = [await subscribed(await user(ALICE), name), await subscribed(await user(BOB), name)];
      const [alice, bob] = await told(
        name,
        clients,
        `insert into T values (1, '${ALICE}')`,
        `update T set owner = '${BOB}'`,
      );
      expect(alice).toEqual([
        { event: 'INSERT', new: { id: 1, owner: ALICE } },
        { event: 'DELETE', old: { id: 1 }, cause: 'UPDATE' },
      ]);
      expect(bob).toEqual([{ event: 'INSERT', new: { id: 1, owner: BOB }, cause: 'UPDATE' }]);
    });

    it('is told of a changed key with the old row, and leaves by the old key', async () => {
      const name = await table('id int primary key, public bool', 'create policy p on T using (public)');
      const client = await subscribed(await user(ALICE), name);
      const [got] = await told(
        name,
        [client],
        'insert into T values (1, true)',
        'update T set id = 2',
        'update T set id = 3, public = false',
      );
      expect(got?.slice(1)).toEqual([
        { event: 'UPDATE', new: { id: 2, public: true }, old: { id: 1, public: true } },
        { event: 'DELETE', old: { id: 2 }, cause: 'UPDATE' },
      ]);
    });

    it('by its filter is told the same way', async () => {
      const name = await table('id int primary key, status text', 'create policy p on T using (true)');
      const client = await subscribed(await user(ALICE), name, { where: { status: 'open' } });
      const admin = await subscribed(await app.client(), name, { where: { status: { neq: 'open' } } });
      const [got, other] = await told(
        name,
        [client, admin],
        `insert into T values (1, 'open'), (2, 'shut'), (3, null)`,
        `update T set status = 'shut' where id = 1`,
        `update T set status = 'open' where id = 3`,
        'truncate T',
      );
      expect(got).toEqual([
        { event: 'INSERT', new: { id: 1, status: 'open' } },
        { event: 'DELETE', old: { id: 1 }, cause: 'UPDATE' },
        { event: 'INSERT', new: { id: 3, status: 'open' }, cause: 'UPDATE' },
        { event: 'TRUNCATE' },
      ]);
      expect(other).toEqual([
        { event: 'INSERT', new: { id: 2, status: 'shut' } },
        { event: 'INSERT', new: { id: 1, status: 'shut' }, cause: 'UPDATE' },
        { event: 'TRUNCATE' },
      ]);
    });

    it('gets the events it wants as they are delivered to it', async () => {
      const name = await table('id int primary key, public bool', 'create policy p on T using (public)');
      const inserts = await subscribed(await user(ALICE), name, { event: 'INSERT' });
      const others = await subscribed(await user(ALICE), name, { event: ['UPDATE', 'DELETE'] });
      const [ins, rest] = await told(
        name,
        [inserts, others],
        'insert into T values (1, false)',
        'update T set public = true',
        'update T set public = false',
      );
      expect(ins).toEqual([{ event: 'INSERT', new: { id: 1, public: true }, cause: 'UPDATE' }]);
      expect(rest).toEqual([{ event: 'DELETE', old: { id: 1 }, cause: 'UPDATE' }]);
    });
  });

  describe('whose role may read some columns', () => {
    it('gets those alone, new and old', async () => {
      const name = await table(
        'id int primary key, shown text, hidden text',
        'create policy p on T using (hidden is not null)',
        'revoke select on T from authenticated; grant select (id, shown) on T to authenticated',
      );
      const client = await subscribed(await user(ALICE), name);
      const [got] = await told(
        name,
        [client],
        `insert into T values (1, 'a', 'x')`,
        `update T set shown = 'b'`,
        'delete from T',
      );
      expect(got).toEqual([
        { event: 'INSERT', new: { id: 1, shown: 'a' } },
        { event: 'UPDATE', new: { id: 1, shown: 'b' }, old: { id: 1, shown: 'a' } },
        { event: 'DELETE', old: { id: 1, shown: 'b' } },
      ]);
    });

    it('and wants fewer gets these and the key', async () => {
      const name = await table('id int primary key, a text, b text', 'create policy p on T using (true)');
      const client = await subscribed(await user(ALICE), name, { columns: ['b'] });
      const [got] = await told(name, [client], `insert into T values (1, 'a', 'b')`, `update T set a = 'c'`);
      expect(got).toEqual([
        { event: 'INSERT', new: { id: 1, b: 'b' } },
        { event: 'UPDATE', new: { id: 1, b: 'b' }, old: { id: 1, b: 'b' } },
      ]);
    });

    it('does not get the key without a right to it', async () => {
      const name = await table(
        'id int primary key, a text',
        'create policy p on T using (true)',
        'revoke select on T from authenticated; grant select (a) on T to authenticated',
      );
      const client = await subscribed(await user(ALICE), name);
      const [got] = await told(name, [client], `insert into T values (1, 'a')`, 'delete from T');
      expect(got).toEqual([
        { event: 'INSERT', new: { a: 'a' } },
        { event: 'DELETE', old: { a: 'a' } },
      ]);
    });

    it('gets nothing by a filter on a column that was revoked since', async () => {
      const name = await table('id int primary key, a text', 'create policy p on T using (true)');
      const client = await subscribed(await user(ALICE), name, { where: { a: 'a' } });
      await told(name, [client], `insert into T values (1, 'a')`);
      await run(named('revoke select on T from authenticated; grant select (id) on T to authenticated', name));
      const [got] = await told(name, [client], `insert into T values (2, 'a')`);
      expect(got).toEqual([{ event: 'INSERT', new: { id: 1, a: 'a' } }]);
    });
  });

  describe('of a table without whole old rows', () => {
    it('gets an UPDATE that it sees as an UPDATE, and a DELETE that the key decides', async () => {
      const name = await watched('id int primary key, public bool', false, [
        'create policy p on T using (public)',
        'create policy k on T using (id > 100)',
      ]);
      const client = await subscribed(await user(ALICE), name);
      const [got] = await told(
        name,
        [client],
        'insert into T values (1, false), (101, false)',
        'update T set public = true',
        'update T set public = false',
        'delete from T',
      );
      expect(got).toEqual([
        { event: 'INSERT', new: { id: 101, public: false } },
        { event: 'UPDATE', new: { id: 1, public: true }, old: { id: 1 } },
        { event: 'UPDATE', new: { id: 101, public: true }, old: { id: 101 } },
        { event: 'UPDATE', new: { id: 101, public: false }, old: { id: 101 } },
        { event: 'DELETE', old: { id: 101 } },
      ]);
    });

    it('gets every DELETE where no policy binds it', async () => {
      const name = await watched('id int primary key, note text', false, ['alter table T disable row level security']);
      const client = await subscribed(await user(ALICE), name);
      const filtered = await subscribed(await user(ALICE), name, { where: { note: 'a' } });
      const byKey = await subscribed(await user(ALICE), name, { where: { id: 1 } });
      const [got, some, keyed] = await told(
        name,
        [client, filtered, byKey],
        `insert into T values (1, 'a'), (2, 'b')`,
        'delete from T',
      );
      expect(got?.slice(2)).toEqual([
        { event: 'DELETE', old: { id: 1 } },
        { event: 'DELETE', old: { id: 2 } },
      ]);
      expect(some).toEqual([{ event: 'INSERT', new: { id: 1, note: 'a' } }]);
      expect(keyed?.slice(1)).toEqual([{ event: 'DELETE', old: { id: 1 } }]);
    });

    it('does not get a row whose policy reads a large value that was not sent again', async () => {
      const name = await watched('id int primary key, n int, body text, owner uuid', false, [
        'alter table T alter column body set storage external',
        `create policy big on T to authenticated using (body like 'open%')`,
        'create policy own on T using (owner = auth.uid())',
      ]);
      const clients = [await subscribed(await user(ALICE), name), await subscribed(await user(BOB), name)];
      const [alice, bob] = await told(
        name,
        clients,
        `insert into T values (1, 1, 'open' || repeat('x', 10000), '${BOB}')`,
        'update T set n = 2',
      );
      expect(alice?.map(({ event }) => event)).toEqual(['INSERT']);
      expect(bob?.map(({ event }) => event)).toEqual(['INSERT', 'UPDATE']);
      expect(bob?.[1]).toEqual({
        event: 'UPDATE',
        new: { id: 1, n: 2, owner: BOB },
        old: { id: 1 },
        unchanged: ['body'],
      });
    });

    it('gets inserts of one that has no key', async () => {
      const name = await watched('n int, owner uuid', false, ['create policy own on T using (owner = auth.uid())']);
      const clients = [await subscribed(await user(ALICE), name), await subscribed(await user(BOB), name)];
      const [alice, bob] = await told(
        name,
        clients,
        `insert into T values (1, '${ALICE}'), (2, '${BOB}')`,
        'update T set n = 3',
        'delete from T',
      );
      expect(alice).toEqual([{ event: 'INSERT', new: { n: 1, owner: ALICE } }]);
      expect(bob).toEqual([{ event: 'INSERT', new: { n: 2, owner: BOB } }]);
    });
  });

  it('with whole old rows but without a key is told which row left by what it had of it', async () => {
    const name = await table('n int, public bool', 'create policy p on T using (public)');
    const client = await subscribed(await user(ALICE), name, { columns: ['n'] });
    const [got] = await told(name, [client], 'insert into T values (1, true)', 'update T set public = false');
    expect(got?.[1]).toEqual({ event: 'DELETE', old: { n: 1 }, cause: 'UPDATE' });
  });

  it('is judged by a large value under whole old rows also where it was not sent again', async () => {
    const name = await table(
      'id int primary key, n int, body text',
      'alter table T alter column body set storage external',
      `create policy big on T using (body like 'open%')`,
    );
    const client = await subscribed(await user(ALICE), name, { columns: ['n'] });
    const [got] = await told(
      name,
      [client],
      `insert into T values (1, 1, 'open' || repeat('x', 10000))`,
      'update T set n = 2',
    );
    expect(got?.[1]).toEqual({ event: 'UPDATE', new: { id: 1, n: 2 }, old: { id: 1, n: 1 } });
  });

  it('gets what fits of a row that is too large whole', async () => {
    const name = await table('id int primary key, small text, body text', 'create policy p on T using (true)');
    const clients = [
      await subscribed(await user(ALICE), name),
      await subscribed(await user(ALICE), name, { columns: ['small'] }),
    ];
    const [whole, part] = await told(name, clients, `insert into T values (1, 's', repeat('x', 300000))`);
    expect(whole).toEqual([{ event: 'INSERT', new: { id: 1 }, truncated: true }]);
    expect(part).toEqual([{ event: 'INSERT', new: { id: 1, small: 's' } }]);
  });

  it('is told of a gap where a value is too large to be judged', async () => {
    const name = await table('id int primary key, body text', `create policy p on T using (body <> '')`);
    const client = await subscribed(await user(ALICE), name);
    const [got] = await told(
      name,
      [client],
      `insert into T values (1, repeat('"', 2000000))`,
      `insert into T values (2, 'a')`,
    );
    expect(got).toEqual([{ event: 'INSERT', new: { id: 2, body: 'a' } }]);
    expect(await client.next('gap')).toMatchObject({ channel: `db:${name}`, reason: 'not_judged' });
  });

  describe('of rows whose table changed behind them in one transaction', () => {
    const GRANTS = 'revoke select on T from authenticated; grant select (id, note) on T to authenticated';

    it('never gets a column that was dropped before anybody could read it', async () => {
      const name = await table(
        'id int primary key, note text, secret text',
        'create policy p on T using (true)',
        GRANTS,
      );
      const client = await subscribed(await user(ALICE), name);
      const [got] = await told(
        name,
        [client],
        `begin; insert into T values (1, 'n', 'TOP SECRET'); alter table T drop column secret; grant select on T to authenticated; commit`,
      );
      expect(got).toEqual([{ event: 'INSERT', new: { id: 1, note: 'n' } }]);
    });

    it('gets a gap, and nothing under a name that means another column by now', async () => {
      const name = await table(
        'id int primary key, note text, secret text',
        'create policy p on T using (true)',
        GRANTS,
      );
      const client = await subscribed(await user(ALICE), name);
      const [got] = await told(
        name,
        [client],
        `begin; insert into T values (1, 'n', 'TOP SECRET'); alter table T rename note to x; alter table T rename secret to note;
         alter table T rename x to secret; revoke select on T from authenticated; revoke select (id, note, secret) on T from authenticated;
         grant select (id, secret) on T to authenticated; commit`,
        `insert into T values (2, 'harmless', 'hidden')`,
      );
      expect(got).toEqual([{ event: 'INSERT', new: { id: 2, secret: 'harmless' } }]);
      expect(await client.next('gap')).toMatchObject({ reason: 'not_judged' });
    });

    it('does not get the old row where it cannot be told whether it had seen it', async () => {
      const name = await table('id int primary key, body text, pub bool', 'create policy p on T using (pub)');
      const client = await subscribed(await user(ALICE), name);
      await told(name, [client], `insert into T values (1, 'OLD SECRET', false)`);
      const [got] = await told(
        name,
        [client],
        `begin; update T set body = 'fine', pub = true; alter table T add column extra text; create policy q on T using (extra = 'x'); commit`,
      );
      expect(got).toEqual([{ event: 'INSERT', new: { id: 1, body: 'fine', pub: true }, cause: 'UPDATE' }]);
    });
  });

  describe('under policies of other kinds', () => {
    it('is bound by restrictive ones', async () => {
      const name = await table(
        'id int primary key, tenant int',
        'create policy p on T using (true)',
        `create policy r on T as restrictive using (tenant = (auth.jwt() ->> 'tenant')::int)`,
      );
      const clients = [
        await subscribed(await user(ALICE, { tenant: 1 }), name),
        await subscribed(await user(BOB), name),
      ];
      const [alice, bob] = await told(name, clients, 'insert into T values (1, 1), (2, 2)');
      expect(alice?.map(({ new: row }) => row)).toEqual([{ id: 1, tenant: 1 }]);
      expect(bob).toEqual([]);
    });

    it('sees by a policy for PUBLIC, for its role, or for a role that it inherits', async () => {
      const name = await table(
        'id int primary key',
        'create policy everybody on T using (id = 1)',
        'create policy mine on T to authenticated using (id = 2)',
        'create policy group_s on T to rig_group using (id = 3)',
        'create policy other on T to anon using (id = 4)',
      );
      const clients = [
        await subscribed(await user(ALICE), name),
        await subscribed(await user(BOB, {}, 'rig_editor'), name),
      ];
      const [alice, editor] = await told(name, clients, 'insert into T select generate_series(1, 4)');
      expect(alice?.map(({ new: row }) => row)).toEqual([{ id: 1 }, { id: 2 }]);
      expect(editor?.map(({ new: row }) => row)).toEqual([{ id: 1 }, { id: 3 }]);
    });

    it('that owns the table sees all of it, unless row security is forced', async () => {
      const name = await table(
        'id int primary key',
        'create policy p on T using (id = 1)',
        'alter table T owner to rig_editor',
      );
      const client = await subscribed(await user(ALICE, {}, 'rig_editor'), name);
      await told(name, [client], 'insert into T values (1), (2)');
      await run(named('alter table T force row level security', name));
      const [got] = await told(name, [client], 'insert into T values (3)');
      expect(got?.map(({ new: row }) => row)).toEqual([{ id: 1 }, { id: 2 }]);
    });

    it('misses the one row for which its policy raises, among many', async () => {
      const name = await table(
        'id int primary key, owner text',
        'create policy own on T using (owner::uuid = auth.uid())',
      );
      const client = await subscribed(await user(ALICE), name);
      const [got] = await told(
        name,
        [client],
        `insert into T select n, case n when 7 then 'nobody' else '${ALICE}' end from generate_series(1, 20) n`,
      );
      expect(got?.map(({ new: row }) => (row as { id: number }).id)).toEqual([
        1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20,
      ]);
      expect(app.logLines.some(({ fields }) => fields.table === name && String(fields.policies) === 'own')).toBe(true);
    });

    it('is told of a gap where its policy takes too long, and others are not held up by it', async () => {
      const name = await table(
        'id int primary key',
        `create policy p on T using (case auth.uid() when '${ALICE}' then pg_sleep(10) is not null else true end)`,
      );
      const clients = [await subscribed(await user(ALICE), name), await subscribed(await user(BOB), name)];
      const [alice, bob] = await told(name, clients, 'insert into T values (1)');
      expect(alice).toEqual([]);
      expect(bob).toHaveLength(1);
      const gap = await (clients[0] as TestClient).next('gap');
      expect(gap).toMatchObject({ channel: `db:${name}`, reason: 'not_judged' });
      expect(String(gap.from) < String(gap.to)).toBe(true);
    });

    it('sees what session_user in a policy says of the login that policies run on', async () => {
      const name = await table(
        'id int primary key',
        `create policy p on T using (session_user like 'rowcast_policies_%' and current_user = 'authenticated')`,
      );
      const client = await subscribed(await user(ALICE), name);
      const [got] = await told(name, [client], 'insert into T values (1)');
      expect(got).toHaveLength(1);
    });

    it('is judged by its claims although a policy function sets others, and others by theirs', async () => {
      const name = await table(
        'id int primary key, owner uuid',
        `create or replace function meddle() returns boolean language plpgsql as $$ begin
           perform set_config('request.jwt.claims', '{"sub": "${BOB}"}', true), set_config('role', 'none', true); return true; end $$`,
        'create policy p on T using (owner = auth.uid() and meddle())',
      );
      const clients = [
        await subscribed(await user(ALICE), name),
        await subscribed(await user(BOB), name),
        await subscribed(await user(ALICE, { again: 1 }), name),
      ];
      const got = await told(name, clients, `insert into T values (1, '${ALICE}')`);
      expect(got.map((each) => each.length)).toEqual([1, 0, 1]);
    });

    it('by a generated column is judged by its value', async () => {
      const name = await watched(
        'id int primary key, email text, folded text generated always as (lower(email)) stored',
        false,
        [`create policy p on T using (folded = auth.jwt() ->> 'email')`],
      );
      const client = await subscribed(await user(ALICE, { email: 'a@x' }), name, { columns: ['email'] });
      const [got] = await told(name, [client], `insert into T values (1, 'A@x'), (2, 'b@x')`);
      expect(got).toEqual([{ event: 'INSERT', new: { id: 1, email: 'A@x' } }]);
    });
  });

  describe('whose membership is in another table', () => {
    const POLICY =
      'create policy team on T using (exists (select from members m where m.team = T.team and m.who = auth.uid()))';

    it('sees a row that came in the transaction of its membership, and none after it was revoked in one', async () => {
      const name = await table('id int primary key, team int', POLICY);
      const team = 1_000 + count;
      const client = await subscribed(await user(ALICE), name);
      const [got] = await told(
        name,
        [client],
        `begin; insert into T values (1, ${team}); insert into members values (${team}, '${ALICE}'); commit`,
      );
      expect(got?.map(({ event }) => event)).toEqual(['INSERT']);
      const [after] = await told(
        name,
        [client],
        `begin; insert into T values (2, ${team}); delete from members where team = ${team}; commit`,
        `insert into T values (3, ${team})`,
      );
      expect(after?.map(({ event }) => event)).toEqual(['INSERT']);
    });

    it('is one among many of its role, each judged by its own claims', async () => {
      const name = await table('id int primary key, owner uuid', 'create policy own on T using (owner = auth.uid())');
      const subs = Array.from(
        { length: 30 },
        (_, n) => `00000000-0000-4000-8000-0000000001${String(n).padStart(2, '0')}`,
      );
      const clients = await Promise.all(subs.map(async (sub) => subscribed(await user(sub), name)));
      const values = subs.map((sub, id) => `(${id}, '${sub}')`).join();
      const got = await told(name, clients, `insert into T values ${values}`);
      expect(got.map((each) => each.map(({ new: row }) => (row as { id: number }).id))).toEqual(
        subs.map((_, id) => [id]),
      );
    });
  });

  it('is told of TRUNCATE where some policy may show it rows, and not otherwise', async () => {
    const name = await table(
      'id int primary key',
      'create policy p on T to authenticated using (false)',
      'create policy r on T as restrictive to anon using (true)',
    );
    const [seeing, blind] = [
      await subscribed(await user(ALICE), name),
      await subscribed(await user(BOB, {}, 'anon'), name),
    ];
    const got = await told(name, [seeing, blind], 'truncate T');
    expect(got).toEqual([[{ event: 'TRUNCATE' }], []]);
  });

  it('is judged anew with its next row after its token was renewed with other claims', async () => {
    const name = await table(
      'id int primary key, tenant int',
      `create policy p on T using (tenant = (auth.jwt() ->> 'tenant')::int)`,
    );
    const client = await subscribed(await user(ALICE, { tenant: 1 }), name);
    await told(name, [client], 'insert into T values (1, 1), (2, 2)');
    client.send({ type: 'auth', token: app.token('authenticated', { sub: ALICE, tenant: 2 }), ref: 'renewed' });
    await until(() => client.frames.some(({ ref }) => ref === 'renewed'), { what: 'the renewal' });
    const [got] = await told(name, [client], 'insert into T values (3, 1), (4, 2)');
    expect(got?.map(({ new: row }) => (row as { id: number }).id)).toEqual([1, 4]);
  });

  it.each([
    ['alter policy p on T using (id > 100)', [1, 103]],
    ['drop policy p on T', [1]],
    ['revoke select on T from authenticated', [1]],
    ['revoke usage on schema public from public, authenticated', [1]],
    ['alter table T disable row level security; drop policy p on T', [1, 2, 103]],
    ['create policy q on T as restrictive using (id <> 103)', [1, 2]],
  ])('is judged by the new rule from the first row committed after: %s', async (change, expected) => {
    const name = await table('id int primary key', 'create policy p on T using (true)');
    const client = await subscribed(await user(ALICE), name);
    try {
      await told(name, [client], 'insert into T values (1)');
      await run(named(change, name));
      const [got] = await told(name, [client], 'insert into T values (2), (103)');
      expect(got?.map(({ new: row }) => (row as { id: number }).id)).toEqual(expected);
    } finally {
      await run('grant usage on schema public to public');
    }
  });

  it('follows a change of role membership and of a policy function with the next row', async () => {
    const name = await table(
      'id int primary key',
      'create or replace function switch() returns boolean language sql stable as $$ select true $$',
      'create policy f on T to rig_editor using (switch() and id < 10)',
      'create policy g on T to rig_club using (id >= 10)',
    );
    const client = await subscribed(await user(ALICE, {}, 'rig_editor'), name);
    try {
      await told(name, [client], 'insert into T values (1), (11)');
      await run('grant rig_club to rig_editor');
      await told(name, [client], 'insert into T values (2), (12)');
      await run('create or replace function switch() returns boolean language sql stable as $$ select false $$');
      const [got] = await told(name, [client], 'insert into T values (3), (13)');
      expect(got?.map(({ new: row }) => (row as { id: number }).id)).toEqual([1, 2, 12, 13]);
    } finally {
      await run('revoke rig_club from rig_editor');
    }
  });
});

async function withClient(url: string, work: (client: Client) => Promise<unknown>): Promise<void> {
  const client = new Client({ connectionString: url });
  await client.connect();
  await work(client).finally(() => client.end());
}

// Roles belong to the server: other files may make and use them at the same time.
const ROLES = `
  do $$ begin
    if not exists (select from pg_roles where rolname = 'rig_group') then create role rig_group nologin; end if;
    if not exists (select from pg_roles where rolname = 'rig_club') then create role rig_club nologin; end if;
    if not exists (select from pg_roles where rolname = 'rig_editor') then create role rig_editor nologin inherit in role rig_group; end if;
  exception when duplicate_object or unique_violation then null; end $$`;

const SETUP = `
  grant usage, create on schema public to rig_editor;
  create table fence (id int primary key generated always as identity);
  select realtime.watch('fence');
  create table members (team int, who uuid);
  grant select on members to authenticated;`;

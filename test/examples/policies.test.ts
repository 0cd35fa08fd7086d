// The policies of examples/policies.sql against the whole server: for each block who sees what, and who does not.

import { readFileSync } from 'node:fs';
import type { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Finding } from '../../scripts/doctor/finding.ts';
import { startTestApp, type TestApp } from '../app/test-app.ts';
import type { TestClient } from '../app/test-client.ts';
import { failureOf } from '../db/migrated.ts';
import { describeNewestPostgres } from '../rig/postgres.ts';
import { runScript } from '../rig/run-script.ts';
import { until } from '../rig/until.ts';

const FILE = readFileSync(new URL('../../examples/policies.sql', import.meta.url), 'utf8');
const ALICE = '00000000-0000-4000-8000-00000000000a';
const BOB = '00000000-0000-4000-8000-00000000000b';

describeNewestPostgres('examples/policies.sql', (postgres) => {
  let app: TestApp;
  let fences = 0;
  beforeAll(async () => {
    app = await startTestApp(postgres, { channels: 'closed', sql: FILE });
  });
  afterAll(() => app[Symbol.asyncDispose]());

  const user = (sub: string, claims: object = {}): Promise<TestClient> =>
    app.client(app.token('authenticated', { sub, ...claims }));
  const guest = (): Promise<TestClient> => app.client(app.token('anon'));
  const refusal = (client: TestClient, channel: string): Promise<string> =>
    client.subscribe(channel).then(
      () => 'subscribed',
      (error: Error) => error.message,
    );

  /** Subscribes each to the table, and to the articles, by which it is known that everything came. */
  async function watching(table: string, ...clients: TestClient[]): Promise<void> {
    for (const client of clients) {
      await client.subscribe(`db:examples.${table}`);
      if (table !== 'articles') await client.subscribe('db:examples.articles');
    }
  }

  /** Runs statements, each in a transaction of its own; what each client was told of them, as `EVENT {row}`. */
  async function told(clients: readonly TestClient[], ...statements: string[]): Promise<string[][]> {
    for (const sql of statements) await app.database.query(sql);
    const fence = `fence ${++fences}`;
    await app.database.query('insert into examples.articles (title, published) values ($1, true)', [fence]);
    await until(() => clients.every((client) => client.changes().some(({ payload }) => payload.new?.title === fence)), {
      what: 'the fence to reach everybody',
    });
    return clients.map((client) =>
      client
        .changes()
        .filter(({ payload }) => !String(payload.new?.title).startsWith('fence'))
        .map(({ event, payload }) => `${event} ${JSON.stringify(payload.new ?? payload.old)}`),
    );
  }

  /** In a transaction that is rolled back: a session of `sub`, as PostgREST would open it. */
  async function as<T>(sub: string, work: (client: Client) => Promise<T>): Promise<T> {
    const client = await app.database.connect();
    try {
      const claims = JSON.stringify({ sub, role: 'authenticated' });
      await client.query('begin');
      await client.query(
        `select set_config('request.jwt.claims', $1, true), set_config('role', 'authenticated', true)`,
        [claims],
      );
      return await work(client);
    } finally {
      await client.query('rollback').catch(() => undefined);
      await client.end();
    }
  }

  it('1: each user sees its own notes, and a note that changes hands goes over', async () => {
    const [alice, bob] = [await user(ALICE), await user(BOB)];
    await watching('notes', alice, bob);
    const seen = await told(
      [alice, bob],
      `insert into examples.notes (owner, body) values ('${ALICE}', 'a'), ('${BOB}', 'b')`,
      `update examples.notes set owner = '${BOB}' where body = 'a'`,
    );
    expect(seen).toEqual([
      [`INSERT {"id":1,"owner":"${ALICE}","body":"a"}`, 'DELETE {"id":1}'],
      [`INSERT {"id":2,"owner":"${BOB}","body":"b"}`, `INSERT {"id":1,"owner":"${BOB}","body":"a"}`],
    ]);
  });

  it('2: the token names the tenant; without the claim, or with nonsense in it, nothing is seen', async () => {
    const clients = [
      await user(ALICE, { tenant: 1 }),
      await user(BOB, { tenant: '2' }),
      await user(ALICE),
      await user(ALICE, { tenant: '1 or true' }),
    ];
    await watching('invoices', ...clients);
    const seen = await told(clients, 'insert into examples.invoices (tenant, total) values (1, 10), (2, 20)');
    expect(seen).toEqual([
      ['INSERT {"id":1,"tenant":1,"total":10}'],
      ['INSERT {"id":2,"tenant":2,"total":20}'],
      [],
      [],
    ]);
  });

  describe.each(['documents', 'tasks'])('3: %s', (table) => {
    it('are seen by members of the team, from joining to leaving', async () => {
      const [alice, bob] = [await user(ALICE), await user(BOB)];
      await watching(table, alice, bob);
      const clients = [alice, bob];
      const add = (title: string): string => `insert into examples.${table} (team, title) values (7, '${title}')`;
      const members = 'examples.memberships';
      // What a policy reads elsewhere is read at delivery: each change is awaited before memberships go on.
      await told(clients, `delete from ${members}; insert into ${members} values (7, '${ALICE}')`, add('first'));
      await told(clients, `insert into ${members} values (7, '${BOB}')`, add('second'));
      const seen = await told(clients, `delete from ${members} where member = '${ALICE}'`, add('third'));
      expect(seen.map((lines) => lines.map((line) => /"title":"(\w+)"/.exec(line)?.[1]))).toEqual([
        ['first', 'second'],
        ['second', 'third'],
      ]);
    });
  });

  it('3: memberships themselves are read by their member alone', async () => {
    await app.database.query(
      `delete from examples.memberships; insert into examples.memberships values (1, '${ALICE}'), (2, '${BOB}')`,
    );
    const read = (client: Client) => client.query('select team::int from examples.memberships');
    expect((await as(ALICE, read)).rows).toEqual([{ team: 1 }]);
  });

  it('4: everybody sees what is published, and is told when it no longer is', async () => {
    const clients = [await user(ALICE), await guest()];
    await watching('articles', ...clients);
    const seen = await told(
      clients,
      `insert into examples.articles (id, title) overriding system value values (1001, 'draft')`,
      `update examples.articles set title = 'news' where id = 1001`,
      'update examples.articles set published = true where id = 1001',
      'update examples.articles set published = false where id = 1001',
    );
    const expected = ['INSERT {"id":1001,"title":"news","published":true}', 'DELETE {"id":1001}'];
    expect(seen).toEqual([expected, expected]);
  });

  it('5: users get id and name of active profiles, and no other column', async () => {
    const clients = [await user(ALICE)];
    await watching('profiles', ...clients);
    const seen = await told(
      clients,
      `insert into examples.profiles values ('${ALICE}', 'Alice', 'a@example.org', true), ('${BOB}', 'Bob', 'b@example.org', false)`,
      `update examples.profiles set email = 'new@example.org', name = 'Alice B.' where id = '${ALICE}'`,
    );
    expect(seen).toEqual([[`INSERT {"id":"${ALICE}","name":"Alice"}`, `UPDATE {"id":"${ALICE}","name":"Alice B."}`]]);
    const filter = { where: { email: 'new@example.org' } };
    const refused = (await user(ALICE)).subscribe('db:examples.profiles', { filter });
    await expect(refused).rejects.toThrow('bad_filter');
  });

  describe('6: the rooms', () => {
    beforeAll(async () => {
      await app.database.query(`insert into examples.room_members values ('lobby', '${ALICE}'), ('attic', '${BOB}')`);
    });
    const publish = (client: Client, channel: string, event = 'message'): Promise<unknown> =>
      client.query('insert into realtime.messages (channel_name, event_name, payload) values ($1, $2, $3)', [
        channel,
        event,
        '{"text":"hello"}',
      ]);

    it('are subscribed to by their members', async () => {
      const alice = await user(ALICE);
      expect(await refusal(alice, 'chat:lobby')).toBe('subscribed');
      expect(await refusal(alice, 'chat:lobby:typing')).toBe('subscribed');
      for (const channel of ['chat:attic', 'chat:', 'chat:attic:lobby', 'other:lobby']) {
        expect(await refusal(alice, channel)).toContain('channel_unavailable');
      }
      expect(await refusal(await guest(), 'chat:lobby')).toContain('channel_unavailable');
    });

    it('are published to by their members, with the events that are allowed', async () => {
      await as(ALICE, (client) => publish(client, 'chat:lobby'));
      await as(ALICE, (client) => client.query(`select realtime.publish('chat:lobby', 'reaction', '{}')`));
      for (const [channel, event] of [
        ['chat:attic', 'message'],
        ['chat:lobby', 'announcement'],
      ] as const) {
        const failure = await failureOf(as(ALICE, (client) => publish(client, channel, event)));
        expect(failure.code).toBe('42501');
      }
    });

    it('are read by their members', async () => {
      await app.database.query(`select realtime.publish('chat:lobby', 'message', '"in the lobby"')`);
      await app.database.query(`select realtime.publish('chat:attic', 'message', '"in the attic"')`);
      const read = async (client: Client): Promise<unknown[]> =>
        (await client.query('select payload from realtime.messages')).rows.map(({ payload }) => payload);
      expect(await as(ALICE, read)).toEqual(['in the lobby']);
      expect(await as(BOB, read)).toEqual(['in the attic']);
    });
  });

  it('7: users subscribe to the tables of the schema, guests to the articles, and nobody to others', async () => {
    await app.database.query(`create table public.elsewhere (id int primary key);
      grant select on public.elsewhere, examples.notes to anon, authenticated; select realtime.watch('public.elsewhere')`);
    const [alice, anon] = [await user(ALICE), await guest()];
    expect(await refusal(alice, 'db:examples.notes')).toBe('subscribed');
    expect(await refusal(anon, 'db:examples.articles')).toBe('subscribed');
    expect(await refusal(anon, 'db:examples.notes')).toContain('channel_unavailable');
    for (const client of [alice, anon]) expect(await refusal(client, 'db:elsewhere')).toContain('channel_unavailable');
    expect(await refusal(alice, 'db:examples.memberships')).toContain('channel_unavailable');
  });

  it('leaves nothing for the doctor to warn of', async () => {
    const env = { DATABASE_URL: app.database.url, ROWCAST_SLOT: app.database.slot };
    const run = await runScript('scripts/doctor.ts', { args: ['--json'], env });
    const findings = JSON.parse(run.stdout) as Finding[];
    const about = findings.filter(({ topic }) => /^(table examples|channel|subscribe|publish|policy)/.test(topic));
    expect(about.filter(({ level }) => level === 'warning' || level === 'problem')).toEqual([]);
    expect(about).toContainEqual(expect.objectContaining({ topic: 'table examples.notes', level: 'ok' }));
  });

  it('can be run again, and works as before', async () => {
    await using again = await startTestApp(postgres, { channels: 'closed', sql: FILE });
    await again.database.query(FILE);
    const alice = await again.client(again.token('authenticated', { sub: ALICE }));
    await until(
      () =>
        alice.subscribe('db:examples.notes').then(
          () => true,
          () => false,
        ),
      { what: 'the new table to be subscribed to' },
    );
    await again.database.query(`insert into examples.notes (owner, body) values ('${BOB}', 'b'), ('${ALICE}', 'a')`);
    expect((await alice.received(1)).map(({ payload }) => payload.new?.body)).toEqual(['a']);
    const policies = await again.database.query(
      `select polname from pg_policy where polname like 'examples_%' and polrelid::regclass::text like 'realtime.%'`,
    );
    expect(policies).toHaveLength(5);
  });
});

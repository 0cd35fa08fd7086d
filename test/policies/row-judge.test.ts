// What a policy says of a row image, for whom, and what happens where it raises or takes too long.

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { describeEachPostgres } from '../rig/postgres.ts';
import { type Asker, type Judging, openJudging, type Texts } from './judging.ts';

const ALICE = '00000000-0000-4000-8000-00000000000a';
const BOB = '00000000-0000-4000-8000-00000000000b';
const alice: Asker = { role: 'authenticated', claims: { sub: ALICE, tenant: 1 } };
const bob: Asker = { role: 'authenticated', claims: { sub: BOB, tenant: 2 } };
const anon: Asker = { role: 'anon' };

describeEachPostgres('the judge of rows', (postgres) => {
  let judging: Judging;

  beforeAll(async () => {
    judging = await openJudging(postgres, { timeoutMs: 500 });
  });
  afterAll(() => judging[Symbol.asyncDispose]());

  const table: Judging['table'] = (...args) => judging.table(...args);

  const rows = (...images: Texts[]): Texts[] => images;

  it('answers for each identity by its own claims', async () => {
    const name = await table('id int, owner uuid', 'create policy own on T using (owner = auth.uid())');
    const images = rows({ id: '1', owner: ALICE }, { id: '2', owner: BOB }, { id: '3', owner: null });
    expect(await judging.ask(name, images, [alice, bob, anon])).toEqual([
      [1, 0, 0],
      [0, 1, 0],
      [0, 0, 0],
    ]);
  });

  it('joins permissive policies by or and restrictive ones by and', async () => {
    const name = await table(
      'id int, a bool, b bool, c bool',
      'create policy a on T using (a); create policy b on T using (b)',
      'create policy c on T as restrictive using (c)',
    );
    const images = rows(
      { id: '1', a: 't', b: 'f', c: 't' },
      { id: '2', a: 'f', b: 't', c: 't' },
      { id: '3', a: 't', b: 't', c: 'f' },
      { id: '4', a: 't', b: 't', c: null },
      { id: '5', a: 'f', b: null, c: 't' },
    );
    expect(await judging.ask(name, images, [alice])).toEqual([[1, 1, 0, 0, 0]]);
  });

  it('denies everything without a permissive policy, and everything to a role without a grant', async () => {
    const closed = await table('id int', 'create policy r on T as restrictive using (true)');
    expect(await judging.ask(closed, rows({ id: '1' }), [alice])).toEqual([[0]]);
    const ungranted = await table('id int', 'create policy p on T using (true); revoke select on T from anon');
    expect(await judging.ask(ungranted, rows({ id: '1' }), [alice, anon])).toEqual([[1], [0]]);
  });

  it('shows everything where no row security binds the role', async () => {
    const name = await table('id int', 'alter table T disable row level security');
    expect(await judging.ask(name, rows({ id: '1' }), [alice, anon])).toEqual([[1], [1]]);
  });

  it('asks a function that is wrongly marked immutable for each identity anew', async () => {
    const name = await table(
      'id int, tenant int',
      `create or replace function claimed() returns int language sql immutable
         as $$ select (current_setting('request.jwt.claims')::jsonb ->> 'tenant')::int $$`,
      'create policy p on T using (tenant = claimed())',
    );
    const images = rows({ id: '1', tenant: '1' }, { id: '2', tenant: '2' });
    expect(await judging.ask(name, images, [alice, bob, anon])).toEqual([
      [1, 0],
      [0, 1],
      [0, 0],
    ]);
  });

  it('finds a column named like a helper in the row, and never a helper instead of a missing column', async () => {
    const name = await table(
      '"__rcn" int, "__rcv" text, "__rci" bool, v text[]',
      `create policy p on T using ("__rcn" = 7 and "__rcv" = 'x' and "__rci" and v = '{a}')`,
    );
    const image = { __rcn: '7', __rcv: 'x', __rci: 't', v: '{a}' };
    expect(await judging.ask(name, rows(image, { ...image, __rcn: '1' }), [alice])).toEqual([[1, 0]]);
    const { __rcn: _, ...incomplete } = image;
    expect(await judging.ask(name, rows(incomplete), [alice])).toEqual([[2]]);
  });

  it('does not read a missing column as null', async () => {
    const name = await table('id int, hidden bool', 'create policy p on T using (hidden is not true)');
    expect(await judging.ask(name, rows({ id: '1' }), [alice])).toEqual([[2]]);
    expect(await judging.ask(name, rows({ id: '1', hidden: null }), [alice])).toEqual([[1]]);
  });

  it('lets a policy decide that does not need the missing column, and is not sure otherwise', async () => {
    const name = await table(
      'id int, body text',
      'create policy by_id on T using (id = 1)',
      `create policy by_body on T using (body = 'open')`,
    );
    expect(await judging.ask(name, rows({ id: '1' }, { id: '2' }), [alice])).toEqual([[1, 2]]);
  });

  it('judges whole rows only where all columns are there', async () => {
    const name = await table(
      'id int, secret text',
      `create function is_open(r T) returns boolean language sql stable as $$ select r.secret is null $$`,
      'create policy p on T using (is_open(T.*))',
    );
    expect(await judging.ask(name, rows({ id: '1', secret: null }, { id: '2', secret: 's' }), [alice])).toEqual([
      [1, 0],
    ]);
    expect(await judging.ask(name, rows({ id: '1' }), [alice])).toEqual([[2]]);
  });

  it('computes a generated column that the stream does not carry', async () => {
    const name = await table(
      'id int, email text, folded text generated always as (lower(email)) stored',
      `create policy p on T using (folded = 'a@x')`,
    );
    expect(await judging.ask(name, rows({ id: '1', email: 'A@x' }, { id: '2', email: 'b@x' }), [alice])).toEqual([
      [1, 0],
    ]);
  });

  it('asks other tables with the rights of the role', async () => {
    const name = await table(
      'id int, team int',
      'create table members (team int, who uuid)',
      'grant select on members to authenticated',
      `insert into members values (1, '${ALICE}'), (2, '${BOB}')`,
      'create policy p on T using (exists (select from members m where m.team = T.team and m.who = auth.uid()))',
    );
    const images = rows({ id: '1', team: '1' }, { id: '2', team: '2' }, { id: '3', team: null });
    // anon may not read the members: its query raises, as a SELECT would.
    expect(await judging.ask(name, images, [alice, bob, anon])).toEqual([
      [1, 0, 0],
      [0, 1, 0],
      [0, 0, 0],
    ]);
  });

  it('casts texts to the exact type and collation of the column', async () => {
    await judging.sql(
      `create collation if not exists folding (provider = icu, locale = 'und-u-ks-level2', deterministic = false)`,
    );
    const name = await table(
      'id int, name text collate folding, code char(4), price numeric(10,2), at timestamptz',
      `create policy p on T using (name = 'ANNA' and code = 'ab' and price = 1.5 and at = '2026-01-01T01:00:00+01')`,
    );
    const image = { id: '1', name: 'anna', code: 'ab  ', price: '1.50', at: '2026-01-01 00:00:00+00' };
    expect(await judging.ask(name, rows(image, { ...image, name: 'ann' }), [alice])).toEqual([[1, 0]]);
  });

  it('denies the one row for which a policy raises, and no other', async () => {
    const name = await table('id int, owner text', 'create policy p on T using (owner::uuid = auth.uid())');
    const images = Array.from({ length: 50 }, (_, id) => ({ id: String(id), owner: id === 17 ? 'nobody' : ALICE }));
    const before = judging.counts.raised;
    const [seen] = await judging.ask(name, images, [alice]);
    expect(seen?.filter((verdict) => verdict === 1)).toHaveLength(49);
    expect(seen?.[17]).toBe(0);
    expect(judging.counts.raised - before).toBe(1);
    const told = judging.log.lines.find(({ fields }) => fields.table === name);
    expect(told?.fields).toMatchObject({ role: 'authenticated', sqlstate: '22P02', policies: ['p'] });
    expect(JSON.stringify(told)).not.toContain('nobody');
  });

  it('goes on seeing good rows after batches in which every row raised', async () => {
    const name = await table('id int, owner text', 'create policy p on T using (owner::uuid = auth.uid())');
    const poison = Array.from({ length: 20 }, (_, id) => ({ id: String(id), owner: 'nobody' }));
    for (let batch = 0; batch < 3; batch++)
      expect((await judging.ask(name, poison, [alice]))[0]?.includes(1)).toBe(false);
    const mixed = [
      ...poison.slice(0, 3),
      { id: '99', owner: ALICE },
      ...poison.slice(0, 3),
      { id: '98', owner: ALICE },
    ];
    expect(await judging.ask(name, mixed, [alice])).toEqual([[0, 0, 0, 1, 0, 0, 0, 1]]);
  });

  it('holds a policy that takes too long, and goes on with the others', async () => {
    const name = await table(
      'id int, owner uuid',
      `create policy p on T using (case when auth.uid() = '${BOB}' then pg_sleep(5) is not null else owner = auth.uid() end)`,
    );
    const images = rows({ id: '1', owner: ALICE });
    const before = judging.counts.quarantined;
    expect(await judging.ask(name, images, [alice, bob])).toEqual([[1], [0]]);
    expect(judging.counts.quarantined - before).toBe(1);
    // Held: asking it again would hold it again.
    expect(await judging.ask(name, images, [alice, bob])).toEqual([[1], [0]]);
    expect(judging.counts.quarantined - before).toBe(1);
  });

  it('asks a filter beside the policies, in the words of the columns', async () => {
    const name = await table('id int, status text', 'create policy p on T using (id < 10)');
    const images = rows(
      { id: '1', status: 'open' },
      { id: '2', status: 'shut' },
      { id: '11', status: 'open' },
      { id: '3', status: null },
    );
    const where = { status: 'open' };
    expect(
      await judging.ask(name, images, [
        { ...alice, where },
        { role: null, where },
      ]),
    ).toEqual([
      [1, 0, 0, 0],
      [1, 0, 1, 0],
    ]);
  });

  it('follows every change of the rules with the next question', async () => {
    const name = await table('id int, owner uuid', 'create policy p on T using (owner = auth.uid())');
    const ask = (): Promise<number[][]> => judging.ask(name, rows({ id: '1', owner: ALICE }), [alice, bob]);
    expect(await ask()).toEqual([[1], [0]]);
    const steps: [string, number[][]][] = [
      ['alter policy p on T using (owner <> auth.uid())', [[0], [1]]],
      ['create policy q on T using (true)', [[1], [1]]],
      ['revoke select on T from authenticated', [[0], [0]]],
      ['grant select (id) on T to authenticated', [[1], [1]]],
      ['drop policy q on T', [[0], [1]]],
      ['drop policy p on T', [[0], [0]]],
      ['alter table T disable row level security', [[1], [1]]],
    ];
    for (const [statement, expected] of steps) {
      await judging.sql(statement.replaceAll(/\bT\b/g, name));
      expect([statement, await ask()]).toEqual([statement, expected]);
    }
  });

  it('follows a function of the policy to its new name, and not to another one that took the old name', async () => {
    const make = (name: string, answer: boolean): string =>
      `create function ${name}() returns boolean language sql stable as $$ select ${answer} $$`;
    const name = await table('id int', make('gate', false), 'create policy p on T using (gate())');
    const ask = (): Promise<number[][]> => judging.ask(name, rows({ id: '1' }), [alice]);
    expect(await ask()).toEqual([[0]]);
    await judging.sql('alter function gate() rename to old_gate');
    expect(await ask()).toEqual([[0]]);
    await judging.sql(make('gate', true));
    expect(await ask()).toEqual([[0]]);
    await judging.sql(
      'create or replace function old_gate() returns boolean language sql stable as $$ select true $$; drop function gate()',
    );
    expect(await ask()).toEqual([[1]]);
    await judging.sql('alter schema public rename to elsewhere; create schema public');
    try {
      expect(await judging.ask(`elsewhere.${name}`, rows({ id: '1' }), [alice])).toEqual([[1]]);
    } finally {
      await judging.sql('drop schema public; alter schema elsewhere rename to public');
    }
  });

  it.each([
    ['quotes', { sub: `it's "so"\\`, tenant: `');--` }],
    ['nulls', { sub: null, tenant: null }],
    ['depth', { sub: ALICE, deep: JSON.parse(`${'['.repeat(500)}1${']'.repeat(500)}`) }],
    ['size', { sub: ALICE, huge: 'x'.repeat(200_000) }],
    ['a zero escape', { sub: 'a\u0000b' }],
    ['a name of jsonb', { sub: ALICE, 'request.jwt.claims': '{"sub":"x"}', role: 'postgres' }],
  ])('takes claims with %s as they are', async (_, claims) => {
    const name = await table(
      'id int',
      `create policy p on T using (auth.jwt() ->> 'sub' is not distinct from current_setting('request.jwt.claims')::jsonb ->> 'sub')`,
    );
    const asker = { role: 'authenticated', claims };
    const isReadable = !JSON.stringify(claims).includes('\\u0000');
    expect(await judging.ask(name, rows({ id: '1' }), [asker, alice])).toEqual([[isReadable ? 1 : 0], [1]]);
  });

  it('never takes the role none, an admin role or the login of the server', async () => {
    const name = await table('id int', 'create policy p on T to public using (true)');
    for (const role of ['none', 'service_role', 'postgres']) {
      expect(await judging.ask(name, rows({ id: '1' }), [{ role }])).toEqual([[0]]);
    }
  });

  describe('of a transaction that is not visible yet', () => {
    it('waits until it is', async () => {
      const name = await table('id int', 'create policy p on T using (false)');
      const writer = await judging.migrated.database.connect();
      await writer.query(`begin; alter policy p on ${name} using (true)`);
      const { rows: ids } = await writer.query<{ xid: number }>(
        `select (pg_current_xact_id()::text::bigint & 4294967295)::int8::text::int as xid`,
      );
      const asked = judging.ask(name, rows({ id: '1' }), [alice], [ids[0]?.xid ?? 0]);
      const calls = judging.counts.calls;
      await writer.query('commit');
      expect(await asked).toEqual([[1]]);
      expect(judging.counts.calls).toBeGreaterThan(calls);
      await writer.end();
    });
  });
});

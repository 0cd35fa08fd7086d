// Policies, functions and rows that are wrong, slow or mean: what they may spoil is their own table, for those
// whose policies they are, and everybody is told.

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { describeEachPostgres } from '../rig/postgres.ts';
import { until } from '../rig/until.ts';
import { type Asker, type Judging, openJudging, type Texts } from './judging.ts';

const ALICE = '00000000-0000-4000-8000-00000000000a';
const alice: Asker = { role: 'authenticated', claims: { sub: ALICE } };
const anon: Asker = { role: 'anon' };

describeEachPostgres('a hostile policy', (postgres) => {
  let judging: Judging;
  let count = 0;

  beforeAll(async () => {
    judging = await openJudging(postgres, { timeoutMs: 700, patienceMs: 300 });
  });
  afterAll(() => judging[Symbol.asyncDispose]());

  const table: Judging['table'] = (...args) => judging.table(...args);

  const withBody = (name: string, body: string): string =>
    `create or replace function ${name}(x int) returns boolean language plpgsql as $$ begin ${body} return true; end $$`;
  const rows = (...images: Texts[]): Texts[] => images;
  const ONE = rows({ id: '1' });

  /** What an innocent table says, asked in a call of its own. */
  async function innocent(): Promise<number[][]> {
    const name = await table('id int, n text', `create policy p on T using (lower(n) = 'x')`);
    return judging.ask(name, rows({ id: '1', n: 'X' }, { id: '2', n: 'y' }), [alice]);
  }

  it.each([
    ['an assertion', `assert x <> 2;`],
    ['a lock error', `if x = 2 then raise exception using errcode = '55P03'; end if;`],
    ['a lack of resources', `if x = 2 then raise exception using errcode = '53400'; end if;`],
    ['a shutdown', `if x = 2 then raise exception using errcode = '57P01'; end if;`],
    ['a deadlock', `if x = 2 then raise exception using errcode = '40P01'; end if;`],
    ['a serialization failure', `if x = 2 then raise exception using errcode = '40001'; end if;`],
  ])('that raises %s takes nothing from other tables, and no row of its own silently', async (_, body) => {
    const name = await table(
      'id int',
      withBody(`raising${++count}`, body),
      `create policy p on T using (raising${count}(id))`,
    );
    const { seen, withheld } = await judging.askAll(name, rows({ id: '1' }, { id: '2' }, { id: '3' }), [alice]);
    expect(seen[0]?.[1]).toBe(0);
    expect(withheld[0] || (seen[0]?.[0] === 1 && seen[0][2] === 1)).toBe(true);
    expect(await innocent()).toEqual([[1, 0]]);
  });

  it.each([
    ['search_path', `perform set_config('search_path', 'evil, pg_catalog', false);`],
    ['search_path of the transaction', `perform set_config('search_path', 'evil, pg_catalog', true);`],
    ['role', `perform set_config('role', 'anon', false);`],
    ['statement_timeout', `perform set_config('statement_timeout', '1', false);`],
    ['claims', `perform set_config('request.jwt.claims', '{"sub": "x"}', false);`],
    ['standard_conforming_strings', `perform set_config('standard_conforming_strings', 'off', false);`],
    ['array_nulls', `perform set_config('array_nulls', 'off', false);`],
    ['prepared statements', `execute 'deallocate all';`],
  ])('that changes %s changes nothing for others, in the same call or later', async (_, body) => {
    await judging.sql(`create schema if not exists evil; grant usage on schema evil to public;
      create or replace function evil.lower(text) returns text language sql as $$ select 'x' $$`);
    const name = await table(
      'id int, n text',
      withBody('meddling', body),
      `create policy p on T to authenticated using (meddling(id))`,
      `create policy q on T to anon using (lower(n) = 'x' and current_setting('request.jwt.claims') not like '%"x"%')`,
    );
    await judging.ask(name, rows({ id: '1', n: 'X' }), [alice, anon]).catch(() => undefined);
    expect(
      await judging.ask(name, rows({ id: '1', n: 'X' }, { id: '2', n: 'y' }, { id: '3', n: null }), [anon]),
    ).toEqual([[1, 0, 0]]);
    expect(await innocent()).toEqual([[1, 0]]);
  });

  it('cannot pretend that another one is being judged', async () => {
    const name = await table(
      'id int',
      withBody('forging', `raise notice 'judging entry 99'; raise notice '2'; perform pg_sleep(5);`),
      'create policy p on T to authenticated using (forging(id))',
      'create policy q on T to anon using (true)',
    );
    const { seen, withheld } = await judging.askAll(name, ONE, [alice, anon]);
    expect(seen).toEqual([[0], [1]]);
    expect(withheld).toEqual([true, false]);
  });

  describe('that waits for a lock', () => {
    const POLICIES = [
      'create policy p on T to authenticated using (not exists (select from locked))',
      'create policy q on T to anon using (true)',
    ];

    beforeAll(() => judging.sql('create table locked (id int); grant select on locked to authenticated'));

    async function whileLocked(work: () => Promise<void>): Promise<void> {
      const holder = await judging.migrated.database.connect();
      await holder.query('begin; lock table locked in access exclusive mode');
      try {
        await work();
      } finally {
        await holder.query('rollback');
        await holder.end();
      }
    }

    it('withholds its own rows, and says so', async () => {
      const name = await table('id int', ...POLICIES);
      expect(await judging.ask(name, ONE, [alice])).toEqual([[1]]);
      await whileLocked(async () => {
        const { seen, withheld } = await judging.askAll(name, ONE, [alice, anon]);
        expect([seen[0], withheld[0]]).toEqual([[0], true]);
        // Unless a role of the server changed just now, and the rules had to be read again.
        expect(seen[1]?.[0] === 1 || withheld[1]).toBe(true);
        expect(await innocent()).toEqual([[1, 0]]);
      });
    });

    it('and was never read before withholds the rows of its table until it can be read', async () => {
      const name = await table('id int', ...POLICIES);
      await whileLocked(async () => {
        const { seen, withheld } = await judging.askAll(name, ONE, [alice, anon]);
        expect(seen).toEqual([[0], [0]]);
        expect(withheld).toEqual([true, true]);
        expect(await innocent()).toEqual([[1, 0]]);
      });
      await until(async () => (await judging.askAll(name, ONE, [anon])).seen[0]?.[0] === 1);
    });
  });

  it('that raises for many rows of a batch is given up, and its viewers are told', async () => {
    const name = await table('id int, owner text', 'create policy p on T using (owner::uuid = auth.uid())');
    const images = Array.from({ length: 400 }, (_, id) => ({ id: String(id), owner: id % 2 ? 'poison' : ALICE }));
    const { seen, withheld } = await judging.askAll(name, images, [alice]);
    expect(withheld).toEqual([true]);
    // What it never came to is not known, which is not the same as not seen.
    expect(seen[0]?.filter((verdict) => verdict === 2).length).toBeGreaterThan(100);
    expect(seen[0]?.some((verdict, row) => verdict === 0 && row % 2 === 0)).toBe(false);
    const few = images.slice(0, 20);
    expect((await judging.ask(name, few, [alice]))[0]?.filter((verdict) => verdict === 1)).toHaveLength(10);
  });

  it('is known by the names of its columns, whatever they are renamed to', async () => {
    await judging.sql(
      `create table mem (who uuid, other uuid); grant select on mem to authenticated; insert into mem values ('${ALICE}', null)`,
    );
    const name = await table(
      'id int',
      'create policy p on T using (exists (select from mem where mem.who = auth.uid()))',
    );
    expect(await judging.ask(name, ONE, [alice])).toEqual([[1]]);
    await judging.sql(
      'alter table mem rename who to x; alter table mem rename other to who; alter table mem rename x to other',
    );
    expect(await judging.ask(name, ONE, [alice])).toEqual([[1]]);
  });

  it('sees a column type that was replaced under its name', async () => {
    await judging.sql(`create type state as enum ('on', 'off')`);
    const name = await table('id int, s state', `create policy p on T using (s = 'on')`);
    const images = rows({ id: '1', s: 'on' });
    expect(await judging.ask(name, images, [alice])).toEqual([[1]]);
    await judging.sql(`alter type state rename to old_state; create type state as enum ('zzz')`);
    expect(await judging.ask(name, images, [alice])).toEqual([[1]]);
  });

  it('sees a generated column with its type and collation', async () => {
    const name = await table(
      'id int, a numeric, n int generated always as (a / 2.0) stored',
      'create policy p on T using (n < 3)',
    );
    expect(await judging.ask(name, rows({ id: '1', a: '5.8' }, { id: '2', a: '4.8' }), [alice])).toEqual([[0, 1]]);
  });

  it('on the whole row sees the columns in the order of the table', async () => {
    const name = await table(
      'id int, pub text, sec text',
      `create or replace function T_open(r T) returns boolean language sql stable as $$ select r.pub = 'yes' $$`.replaceAll(
        'T_open',
        'is_public',
      ),
      'create policy p on T using (is_public(T.*))',
    );
    expect(await judging.ask(name, rows({ sec: 'yes', pub: 'no', id: '1' } as Texts), [alice])).toEqual([[0]]);
  });

  it('reads dates in the time zone of the database', async () => {
    const name = await table('id int, at timestamptz', `create policy p on T using (at::date = '2026-01-02')`);
    const images = rows({ id: '1', at: '2026-01-01 20:00:00+00' });
    expect(await judging.ask(name, images, [alice])).toEqual([[0]]);
    await using tokyo = await openJudging(postgres);
    await tokyo.sql(`alter database "${tokyo.migrated.database.name}" set timezone = 'Asia/Tokyo'`);
    await tokyo.sql(`create table t (id int, at timestamptz); alter table t enable row level security;
      grant select on t to authenticated; create policy p on t using (at::date = '2026-01-02')`);
    expect(await tokyo.ask('t', images, [alice, { ...alice, where: { at: '2026-01-01T20:00:00' } }])).toEqual([
      [1],
      [1],
    ]);
  });

  it('for which the role lacks a right of names is told as a gap', async () => {
    await judging.sql('create schema if not exists private');
    const name = await table(
      'id int',
      'create or replace function private.ok(int) returns boolean language sql stable as $$ select true $$',
      'create policy p on T using (private.ok(id))',
    );
    const { seen, withheld } = await judging.askAll(name, ONE, [alice]);
    expect([seen, withheld]).toEqual([[[0]], [true]]);
  });

  describe('filter', () => {
    it('does not match a text that is too long to be matched', async () => {
      const name = await table('id int, t text', 'create policy p on T using (true)');
      const images = rows({ id: '1', t: 'a'.repeat(64 * 1024) }, { id: '2', t: 'a'.repeat(64 * 1024 + 1) });
      expect(await judging.ask(name, images, [{ ...alice, where: { t: { like: '%a%' } } }])).toEqual([[1, 0]]);
    });
  });
});

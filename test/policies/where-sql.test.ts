// What a `where` is in SQL, and which ones are refused when they are subscribed to.

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { JudgeCall, type JudgeIdentity, type JudgeRequest } from '../../server/policies/judge-call.ts';
import type { ColumnRule, TableRules } from '../../server/policies/table-rules.ts';
import { TableRulesStore } from '../../server/policies/table-rules-store.ts';
import { checkWhere, type WhereJudge, whereFault } from '../../server/policies/where-check.ts';
import { whereSql } from '../../server/policies/where-sql.ts';
import { parseWhere, type Where } from '../../server/protocol/where.ts';
import { type MigratedDatabase, migratedDatabase } from '../db/migrated.ts';
import { describeEachPostgres } from '../rig/postgres.ts';

function whereOf(json: unknown): Where {
  const result = parseWhere(json);
  if (!result.ok) throw new Error(result.message);
  return result.where;
}

/** What is too long is not matched. */
const like = (column: string, match: string): string =>
  `(case when pg_catalog.octet_length((${column})::text) <= 65536 then ${match} end)`;

describe('the SQL of a where', () => {
  const column = (name: string, literalType: string): [string, ColumnRule] => [
    name,
    {
      name,
      typeOid: 0,
      type: 'unused',
      literalType,
      category: 'X',
      isOrdered: true,
      collation: null,
      isPrimaryKey: false,
      isIdentity: false,
      generated: null,
    },
  ];
  const columns = new Map([
    column('n', 'integer'),
    column('t', 'text'),
    column('a', 'text[]'),
    column('A "b" ', 'text'),
  ]);
  const sql = (json: unknown): string => whereSql(whereOf(json), { columns });

  it.each([
    [{ n: 1 }, `("n" = '1'::integer)`],
    [{ n: { neq: -0 } }, `("n" <> '0'::integer)`],
    [{ n: { gt: 1e-7, lte: 5 } }, `(("n" > '1e-7'::integer) and ("n" <= '5'::integer))`],
    [{ n: { lt: true } }, `("n" < 'true'::integer)`],
    [{ n: { in: [1, '2'] } }, `("n" in ('1'::integer, '2'::integer))`],
    [{ n: null }, `("n" is null)`],
    [{ n: { is: 'not null' } }, `("n" is not null)`],
    [{ n: { is: true } }, `("n" is true)`],
    [{ not: { or: [{ n: 1 }, { t: '' }] } }, `(not (("n" = '1'::integer) or ("t" = ''::text)))`],
    [{ t: `'; drop table x; -- \\` }, `("t" =  E'''; drop table x; -- \\\\'::text)`],
    [{ t: { like: "50\\%'%" } }, like('"t"', `"t" like  E'50\\\\%''%'::text`)],
    [{ n: { ilike: 'x' } }, like('"n"', `"n" ilike 'x'::text`)],
    [{ 'A "b" ': 1 }, `("A ""b"" " = '1'::text)`],
    [{ a: { eq: ['x', null, 'NULL', '"\\'] } }, `("a" =  E'{"x",NULL,"NULL","\\\\"\\\\\\\\"}'::text[])`],
    [
      {
        a: {
          eq: [
            [1, true],
            [2, null],
          ],
        },
      },
      `("a" = '{{"1","true"},{"2",NULL}}'::text[])`,
    ],
    [{ a: { in: [[], ["'"]] } }, `("a" in ('{}'::text[], '{"''"}'::text[]))`],
  ])('of %j is %s', (json, expected) => {
    expect(sql(json)).toBe(expected);
  });

  it('is not made of a column that the table does not have', () => {
    expect(() => sql({ N: 1 })).toThrow('names a column that the table does not have');
    expect(() => sql(JSON.parse('{"__proto__": 1}'))).toThrow('names a column that the table does not have');
  });
});

describeEachPostgres('a where that is subscribed to', (postgres) => {
  let host: MigratedDatabase;
  let rules: TableRules;
  let judge: JudgeCall;
  const asked: JudgeRequest[] = [];
  const counting: WhereJudge = {
    ask: (request) => {
      asked.push(request);
      return judge.ask(request);
    },
  };
  const identity: JudgeIdentity = { role: 'authenticated', claims: '{"sub":"u1"}', channelName: '' };

  beforeAll(async () => {
    host = await migratedDatabase(postgres);
    await host.sql(`
      create collation public."No Case" (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
      create extension citext schema public;
      create type public.mood as enum ('secretly sad', 'ok');
      create type public.pair as (x int, y json);
      create domain public.price as numeric(8, 2) not null check (value > 0);
      create domain public.nick as text collate public."No Case";
      create table public.things (
        id int8 primary key, total numeric(6, 2), name text, code char(4), short varchar(3), label name,
        nick text collate public."No Case", nicks text[] collate public."No Case", nick_domain public.nick,
        tag public.citext, done bool, at timestamptz, day date, clock time, during tstzrange, wait interval,
        mood public.mood, tags text[], numbers int[], doc json, docs json[], data jsonb, pair public.pair, place point,
        relation regclass, relations regclass[], price public.price, bits bit(5), bytes bytea, ip inet, key uuid,
        "and" int, "Odd ""name'" int, secret text);
      grant select (id, total, name, code, short, label, nick, nicks, nick_domain, tag, done, at, day, clock, during, wait, mood,
        tags, numbers, doc, docs, data, pair, place, relation, relations, price, bits, bytes, ip, key, "and", "Odd ""name'")
        on public.things to authenticated`);
    const [{ oid }] = (await host.sql<{ oid: number }>(`select 'public.things'::regclass::oid as oid`)) as [
      { oid: number },
    ];
    const known = await new TableRulesStore(host.db.pool, ['authenticated']).read([oid]);
    rules = known.get(oid) as TableRules;
    judge = new JudgeCall(host.db.pool);
  });
  afterAll(() => host.close());

  function check(json: unknown): Promise<string | undefined> {
    const granted = rules.roles.get('authenticated')?.columns ?? null;
    return checkWhere(counting, { where: whereOf(json), rules, granted, identity });
  }

  it.each<unknown>([
    { id: 1 },
    { id: '9223372036854775807' },
    { total: { gt: 1.239, lte: '1e30', neq: 'NaN' } },
    { name: { like: '%\\_', ilike: 'a%', gt: '' } },
    { name: 5 },
    { code: { like: 'ab  ', eq: 'abcdefgh' } },
    { short: { in: ['longer than three', ''] } },
    { label: { like: 'x%' } },
    { nick: { eq: 'X', gt: 'a', in: ['a', 'b'] } },
    { nicks: { eq: ['x'] } },
    { tag: { like: 'A%', ilike: '_', eq: 'b' } },
    { done: true, or: [{ done: { is: false } }, { done: { is: 'not null' } }, { done: 'yes' }] },
    { at: { gte: '2026-01-01T00:00:00Z', lt: '2026-01-01 00:00:00+05:30' } },
    { day: { in: ['2026-01-01', 'infinity'] } },
    { clock: { lt: '12:00' }, during: '[2026-01-01,2026-02-01)', wait: { gt: '1 month' } },
    { mood: { gt: 'secretly sad' } },
    {
      tags: { eq: ['a', 'now', null, '"\\'], gt: [], neq: '[2:3]={a,b}' },
      numbers: {
        in: [
          [1],
          [
            [1, 2],
            [3, 4],
          ],
        ],
      },
    },
    { doc: null, docs: { is: 'not null' }, pair: null, place: null, relation: null, relations: null },
    { data: '{"a": [1]}' },
    { price: -1 },
    { price: { is: null } },
    { bits: '10101' },
    { bytes: '\\x00ff', ip: { lt: '10.0.0.0/8' }, key: '0190b8a4-7c1e-7b3a-9d2f-1a2b3c4d5e6f' },
    { and: { eq: 1 }, 'Odd "name\'': { gt: 1 } },
  ])('%j is accepted', async (json) => {
    expect(await check(json)).toBeUndefined();
  });

  it.each<[unknown, string]>([
    [{ id: 'abc' }, 'where: column "id" takes no value "abc"'],
    [{ id: 1.5 }, 'where: column "id" takes no value 1.5'],
    [{ id: '9223372036854775808' }, 'where: column "id" takes no value "9223372036854775808"'],
    [{ id: { in: [1, 'x'] } }, 'where: column "id" takes no such value in in'],
    [{ id: { eq: [1] } }, 'where: column "id" holds no arrays; use {"in": […]} for one of several values'],
    [{ id: { in: [1, [1]] } }, 'where: column "id" holds no arrays; use {"in": […]} for one of several values'],
    [{ id: { like: '1%' } }, 'where: column "id" holds no text; like needs one'],
    [{ bytes: { ilike: 'x' } }, 'where: column "bytes" holds no text; ilike needs one'],
    [{ id: { is: true } }, 'where: column "id" is no boolean; "is": true needs one'],
    [{ name: { is: false } }, 'where: column "name" is no boolean; "is": false needs one'],
    [{ doc: '{}' }, 'where: column "doc" can only be filtered with "is"'],
    [{ place: '(1,1)' }, 'where: column "place" can only be filtered with "is"'],
    [{ relation: 'pg_authid' }, 'where: column "relation" can only be filtered with "is"'],
    [{ relations: { in: [['pg_authid']] } }, 'where: column "relations" can only be filtered with "is"'],
    [{ docs: { eq: ['{}'] } }, 'where: column "docs" cannot be filtered with eq'],
    [{ pair: '(1,{})' }, 'where: column "pair" cannot be filtered with eq'],
    [{ mood: 'happy' }, 'where: column "mood" takes no value "happy"'],
    [{ at: 'yesterday' }, 'where: column "at" takes a fixed time, and no "yesterday"'],
    [{ day: { in: ['2026-01-01', ' NOW'] } }, 'where: column "day" takes a fixed time, and no " NOW"'],
    [{ during: '[now,)' }, 'where: column "during" takes a fixed time, and no "[now,)"'],
    [{ at: '2026-13-01' }, 'where: column "at" takes no value "2026-13-01"'],
    [{ tags: 'a' }, 'where: column "tags" takes no value "a"'],
    [{ numbers: { eq: [1, [2]] } }, 'where: column "numbers" takes no value [1,[2]]'],
    [{ data: 'abc' }, 'where: column "data" takes no value "abc"'],
    [{ name: 'ok', total: 'x'.repeat(500) }, `where: column "total" takes no value "${'x'.repeat(62)}…`],
  ])('%j is refused: %s', async (json, message) => {
    expect(await check(json)).toBe(message);
  });

  it('may use LIKE under collations that ignore case as far as this PostgreSQL can', async () => {
    const like = postgres.version >= 18 ? undefined : 'where: column "nick" cannot be filtered with like';
    expect(await check({ nick: { like: 'a%' } })).toBe(like);
    expect(await check({ nick_domain: { like: 'a%' } })).toBe(like?.replace('nick', 'nick_domain'));
    expect(await check({ nick: { ilike: 'a%' } })).toBe('where: column "nick" cannot be filtered with ilike');
  });

  it('is refused for one fault behind many good conditions, joined by whatever', async () => {
    const good = Array.from({ length: 60 }, (_, id) => ({ id }));
    expect(await check({ or: [...good, { not: { at: 'x' } }] })).toBe('where: column "at" takes no value "x"');
    expect(await check({ or: [{ id: 1 }, { and: [{ id: 2 }, { nick: { ilike: 'x' } }] }] })).toBe(
      'where: column "nick" cannot be filtered with ilike',
    );
  });

  it('tells a column that is not granted from one that does not exist by nothing', async () => {
    asked.length = 0;
    const conditions: unknown[] = [1, 'x', null, { like: 'x' }, { is: true }, { gt: [1] }, { in: ['x'] }];
    for (const condition of conditions) {
      for (const rest of [{}, { id: 'bad' }, { done: { like: 'x' } }]) {
        const forbidden = await check({ ...rest, secret: condition });
        const missing = await check({ ...rest, absent: condition });
        expect(missing).toBe('where: column "absent" does not exist');
        expect(forbidden).toBe(missing?.replace('absent', 'secret'));
      }
    }
    for (const name of ['ctid', 'xmax', 'tableoid', 'THINGS', '__proto__', 'constructor', 'Id']) {
      const where = JSON.parse(`{${JSON.stringify(name)}: null}`);
      expect(await check(where)).toBe(`where: column ${JSON.stringify(name)} does not exist`);
    }
    expect(asked).toEqual([]);
  });

  it('may name every column where all are granted, and none where none is', () => {
    expect(whereFault(whereOf({ secret: 'x' }), rules, null)).toBeUndefined();
    expect(whereFault(whereOf({ id: 1 }), rules, new Set())).toBe('where: column "id" does not exist');
  });

  it('asks the database once, and not at all where no literal needs to be read', async () => {
    asked.length = 0;
    await check({ id: 1, or: [{ name: 'x' }, { tags: { eq: ['x'] } }] });
    expect(asked).toHaveLength(1);
    await check({ id: { is: 'not null' }, not: { done: { is: true } } });
    expect(asked).toHaveLength(1);
  });

  it('is read under the role of the identity', async () => {
    const where = whereOf({ id: 1 });
    const question = { where, rules, granted: null, identity: { ...identity, role: 'no such role' } };
    await expect(checkWhere(counting, question)).rejects.toThrow('could not be checked');
  });

  it('rejects where the database does not answer in time', async () => {
    const slow: WhereJudge = { ask: async () => ({ state: 'ok', hits: [], failures: [] }) };
    const question = { where: whereOf({ id: 1 }), rules, granted: null, identity };
    await expect(checkWhere(slow, question)).rejects.toThrow('in time');
  });
});

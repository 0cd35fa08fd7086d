// What comes back from history is what came from the stream, byte for byte: told as it is, in part, or to those for whom a
// row comes into view or leaves it; and so are the texts that it is judged by.

import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ChangeMessage } from '../../server/changes/change-message.ts';
import { SAMPLES, TYPE_SETUP, tableOf } from '../app/common-types.ts';
import { RANDOM_DEFINITIONS, RANDOM_ROW, RANDOM_SETUP } from '../app/random-values.ts';
import { describeEachPostgres } from '../rig/postgres.ts';
import { facesOf, type HistoryStage, openHistoryStage, type RestoreOptions } from './history-stage.ts';

const RANDOM_ROWS = 60;
const SAMPLE_ROWS = Math.max(...SAMPLES.map(({ values }) => values.length));
/** Stored out of line, and so not sent again by an UPDATE that leaves it alone. */
const LARGE = `repeat('x', 5000)`;

const SETUP = `
  ${TYPE_SETUP}
  ${RANDOM_SETUP}
  ${tableOf('samples', SAMPLES)}
  create table random_rows (id int primary key, ${RANDOM_DEFINITIONS});
  alter table random_rows replica identity full;
  create extension if not exists citext;`;

type Compare = { readonly wanted?: readonly string[]; readonly maxPayloadBytes?: number };
type Compared = { readonly live: readonly ChangeMessage[]; readonly restored: readonly ChangeMessage[] };

describeEachPostgres('a change from history', (postgres) => {
  let stage: HistoryStage;
  beforeAll(async () => {
    stage = await openHistoryStage(postgres, SETUP);
  });
  afterAll(() => stage[Symbol.asyncDispose]());

  /** Runs `statements` on a table of its own, `T`; what came of it live, and what history gives back. */
  const compare = async (statements: string, options: RestoreOptions = {}): Promise<Compared> => {
    const table = `t${++tables}`;
    for (const statement of statements.split(';')) await stage.sql(statement.replaceAll(/\bT(?=\b|_)/g, table));
    const live = await stage.live(options.maxPayloadBytes);
    return { live, restored: await stage.restored(table, options) };
  };
  let tables = 0;

  /** The first that differ, if any: all of them would fill pages. */
  const expectSame = ({ live, restored }: Compared, { wanted = ['b'], maxPayloadBytes }: Compare = {}): void => {
    expect(restored.map(({ position }) => position)).toEqual(live.map(({ position }) => position));
    expect(live.length).toBeGreaterThan(0);
    for (const [index, change] of live.entries()) {
      const face = facesOf(restored[index] as ChangeMessage, wanted, maxPayloadBytes);
      expect(face).toEqual(facesOf(change, wanted, maxPayloadBytes));
    }
  };

  it('has the same values of every common type', async () => {
    for (let at = 0; at < SAMPLE_ROWS; at++) {
      const values = SAMPLES.map(({ type, values }) =>
        values[at] === undefined ? 'null' : `(${values[at]})::${type}`,
      );
      await stage.sql(`insert into samples values (${at}, ${values.join(', ')})`);
    }
    await stage.sql('update samples set id = id + 100; delete from samples where id = 101');
    const live = await stage.live();
    expectSame({ live, restored: await stage.restored('samples') }, { wanted: ['c3', 'c20'] });
  });

  it('has the same values whatever they are', async () => {
    const seed = Math.floor(Math.random() * 2 ** 31);
    const rows = fc.sample(RANDOM_ROW, { numRuns: RANDOM_ROWS, seed }).map((row, id) => ({ ...row, id }));
    await stage.sql('insert into random_rows select * from json_populate_recordset(null::random_rows, $1::json)', [
      JSON.stringify(rows),
    ]);
    await stage.sql('update random_rows set id = id + 1000');
    const live = await stage.live();
    try {
      expectSame({ live, restored: await stage.restored('random_rows') }, { wanted: ['c2', 'c9'] });
    } catch (error) {
      throw new Error(`seed ${seed}`, { cause: error });
    }
  });

  const WRITES = `
    insert into T (a, b, c) values (1, 'one', 'x'), (2, 'two', ${LARGE}), (3, null, null);
    update T set b = 'changed' where a < 3; update T set a = a + 10 where a = 1; update T set c = 'short' where a = 2;
    update T set a = a, b = b where a = 3; delete from T where a > 2; truncate T; insert into T (a) values (1)`;

  describe.each([
    ['the primary key', 'create table T (a int primary key, b text, c text)'],
    [
      'a primary key of two columns',
      'create table T (b text default md5(random()::text), c text, a int, d int8 default 2, primary key (d, a))',
    ],
    ['the whole row', 'create table T (a int primary key, b text, c text); alter table T replica identity full'],
    ['the whole row without a key', 'create table T (a int, b text, c text); alter table T replica identity full'],
    ['all columns', "create table T (a int, b text default '', c text default '', primary key (a, b, c))"],
    [
      'another index',
      'create table T (a int not null unique, b text, c text, i int8 generated always as identity primary key); alter table T replica identity using index T_a_key',
    ],
  ])('under a replica identity of %s', (_, create) => {
    const writes = create.includes('primary key (a, b, c)')
      ? WRITES.replace(', null, null)', `, '', '')`).replace(LARGE, `'y'`)
      : WRITES;
    const script = `${create}; alter table T alter column c set storage external; ${writes}`;

    it('is the same', async () => expectSame(await compare(script)));

    it('is the same where it was cut', async () => {
      const options = { maxPayloadBytes: 300 };
      expectSame(await compare(script, options), options);
    });

    it('is the same where only large rows were cut', async () => {
      const options = { maxPayloadBytes: 3000 };
      expectSame(await compare(script, options), options);
    });
  });

  it('is the same where its payload is kept as text', async () => {
    const compared = await compare(`
      create table T (a int primary key, b json, c text, "text" text);
      insert into T values (1, '{"a" : "\\u0000"}', 'x', 'y'), (2, '1e999999', null, '{"text": 1}'), (3, '{"text": "x"}', 'z', '');
      update T set c = 'w', a = a + 10; delete from T`);
    expectSame(compared, { wanted: ['b'] });
  });

  it('is the same without knowing what its replica identity is', async () => {
    const create = (key: string) =>
      `create table T (a int, b text, c text, ${key}); alter table T alter column c set storage external`;
    expectSame(await compare(`${create('primary key (a)')}; ${WRITES}`, { knowsIdentity: false }));
    const full = `${create('primary key (a)')}; alter table T replica identity full; ${WRITES}`;
    expectSame(await compare(full, { knowsIdentity: false }));
  });

  it('is the same after the replica identity changed', async () => {
    const writes =
      'insert into T values (1, 2), (2, 2); update T set b = a; update T set b = 5 where a = 1; delete from T where a = 2';
    const compared = await compare(`
      create table T (a int primary key, b int); alter table T add constraint T_a_key unique (a); ${writes}; alter table T replica identity full; ${writes.replaceAll('1', '3').replaceAll('2', '4')};
      alter table T replica identity using index T_a_key; alter table T drop constraint T_pkey; ${writes.replaceAll('1', '5').replaceAll('2', '6')}`);
    expectSame(compared, { wanted: ['a', 'b'] });
  });

  it('is the same with a json column that is the whole row beside its key', async () => {
    expectSame(
      await compare(`create table T (a int[] primary key, b jsonb); alter table T replica identity full;
      insert into T values ('{1}', 'null'), ('{2}', null), ('{}', '{}'); update T set b = '1' where b is null; update T set b = null; delete from T`),
    );
  });

  it('is the same whatever its columns are called', async () => {
    expectSame(
      await compare(`create table T (a int primary key, "__proto__" text, "text" int[], "new" text, "truncated" json, "a ""b"" \\ é" float4);
      insert into T values (1, 'x', '{1}', 'n', '[]', 1e-30); insert into T values (2); update T set "__proto__" = 'y', "text" = null; delete from T`),
      { wanted: ['__proto__', 'new'] },
    );
  });

  it('is of one version of the table as long as that is the same', async () => {
    const { restored } = await compare(`create table T (a int primary key, b text);
      insert into T values (1, 'x'), (2, 'y'); update T set b = 'z'; update T set a = a + 10; delete from T; truncate T`);
    expect(new Set(restored.map(({ relation }) => relation)).size).toBe(1);
    const [again] = await stage.restored(`t${tables}`);
    expect(again?.relation).toBe(restored[0]?.relation);
    expect(new Set(restored.map(({ transaction }) => transaction)).size).toBeLessThan(restored.length);
  });
});

// A table may have changed since its history was written: what still fits comes back, what does not is not there at all,
// neither told nor judged by.

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ChangeMessage } from '../../server/changes/change-message.ts';
import { newestPostgres } from '../rig/postgres.ts';
import { facesOf, type HistoryStage, openHistoryStage } from './history-stage.ts';

/** A change of the table, and what its rows are afterwards. */
type Case = readonly [
  what: string,
  column: string,
  values: readonly string[],
  change: string,
  restored: readonly unknown[],
];

/** Stands for a column that is not there. */
const ABSENT = undefined;
const CASES: readonly Case[] = [
  ['a column that was dropped', 'text', [`'x'`], 'alter table T drop column b', [ABSENT]],
  [
    'an integer that became text',
    'int',
    ['42', '-1', 'null'],
    'alter table T alter column b type text',
    ['42', '-1', null],
  ],
  ['an integer that became a large one', 'int', ['42'], 'alter table T alter column b type int8', [42]],
  [
    'a number that became text',
    'numeric',
    ['1.50', '12345678901234567890'],
    'alter table T alter column b type text',
    ['1.50', '12345678901234567890'],
  ],
  [
    'text that became an integer',
    'text',
    [`'42'`, `'x'`, `'1,"c":2'`, 'null'],
    'alter table T alter column b type int using null',
    [42, ABSENT, ABSENT, null],
  ],
  [
    'text that became a number',
    'text',
    [`'1e5'`, `'NaN'`, `'0.10'`],
    'alter table T alter column b type numeric using null',
    [ABSENT, 'NaN', 0.1],
  ],
  [
    'text that became a float',
    'text',
    [`'1e+05'`, `'1,'`],
    'alter table T alter column b type float8 using null',
    [1e5, ABSENT],
  ],
  ['a truth that became text', 'bool', ['true', 'false'], 'alter table T alter column b type text', ['true', 'false']],
  [
    'text that became a truth',
    'text',
    [`'t'`, `'yes'`],
    'alter table T alter column b type bool using null',
    [true, ABSENT],
  ],
  [
    'json that became text',
    'json',
    [`'{"a" : 1}'`, 'null', `'null'`],
    'alter table T alter column b type text',
    ['{"a" : 1}', null, 'null'],
  ],
  [
    'text that became json',
    'text',
    [`'{"a" : [1]}'`, `'{'`, `'1 2'`, `''`],
    'alter table T alter column b type json using null',
    [{ a: [1] }, ABSENT, ABSENT, ABSENT],
  ],
  ['an integer that became json', 'int', ['7'], 'alter table T alter column b type jsonb using null', [7]],
  ['an array that became text', 'int[]', [`'{1,2}'`], 'alter table T alter column b type text', ['{1,2}']],
  [
    'text that became an array',
    'text',
    [`'{1,2}'`, `'[1,2]'`, `'{1,x}'`, `'[0:1]={3,4}'`, `'{' || repeat('{', 100000) || '}'`],
    'alter table T alter column b type int[] using null',
    [[1, 2], ABSENT, ABSENT, [3, 4], ABSENT],
  ],
  [
    'json that became an array',
    'json',
    [`'[1,2]'`, `'{}'`],
    'alter table T alter column b type int[] using null',
    [ABSENT, []],
  ],
  [
    'an array that became json',
    'int[]',
    [`'{1}'`, `'{}'`],
    'alter table T alter column b type json using null',
    [ABSENT, {}],
  ],
  [
    'a time that lost its zone',
    'timestamptz',
    [`'2024-01-15 10:30Z'`],
    'alter table T alter column b type timestamp',
    [ABSENT],
  ],
  [
    'text that became a time',
    'text',
    [`'2024-01-15 10:30:00'`, `'soon'`],
    'alter table T alter column b type timestamp using null',
    ['2024-01-15T10:30:00', ABSENT],
  ],
  ['a column that came', 'text', [`'x'`], 'alter table T add column n int default 3', ['x']],
];

describe('a change from history, once the table has changed', () => {
  let stage: HistoryStage;
  let tables = 0;
  beforeAll(async () => {
    stage = await openHistoryStage(newestPostgres(), 'create type duo as (x int, y text)');
  });
  afterAll(() => stage[Symbol.asyncDispose]());

  /** Writes into a table that then changes; returns its name. */
  const changed = async (statements: readonly string[], change: string): Promise<string> => {
    const table = `t${++tables}`;
    for (const statement of statements) await stage.sql(statement.replaceAll(/\bT\b/g, table));
    await stage.live();
    await stage.sql(change.replaceAll(/\bT\b/g, table));
    return table;
  };
  const payloadOf = ({ payload }: ChangeMessage) => JSON.parse(Buffer.from(payload).toString());

  it.each(CASES)('has %s as far as it fits', async (_, column, values, change, restored) => {
    for (const identity of ['default', 'full']) {
      const inserts = values.map((value, id) => `insert into T values (${id}, ${value}, 'end')`);
      const update = `update T set c = 'END'`;
      const create = [
        `create table T (id int primary key, b ${column}, c text)`,
        `alter table T replica identity ${identity}`,
      ];
      const messages = await stage.restored(await changed([...create, ...inserts, update], change));
      const [inserted, updated] = [messages.slice(0, values.length), messages.slice(values.length)];
      expect(inserted.map((message) => payloadOf(message).new)).toEqual(restored.map((b, id) => ({ id, b, c: 'end' })));
      expect(updated.map((message) => payloadOf(message).new)).toEqual(restored.map((b, id) => ({ id, b, c: 'END' })));
    }
  });

  it('is not judged by what is not there', async () => {
    const create = 'create table T (a int primary key, b text, c text)';
    const table = await changed(
      [create, `insert into T values (1, 'x', 'y')`],
      'alter table T alter column b type int using null',
    );
    const [message] = await stage.restored(table);
    expect(facesOf(message as ChangeMessage, ['b'])).toMatchObject({ images: [{ columns: ['a', 'c'] }, null] });
  });

  it('has a value of a row type that has one more field now as its text', async () => {
    const writes = ['create table T (a int primary key, b duo)', `insert into T values (1, '(1,x)')`];
    const table = await changed(writes, 'select 1');
    const read = async () => (await stage.restored(table)).map((message) => payloadOf(message).new.b);
    expect(await read()).toEqual([{ x: 1, y: 'x' }]);
    await stage.sql('alter type duo add attribute z int cascade');
    expect(await read()).toEqual(['(1,x)']);
  });

  it('has the columns in their order of today', async () => {
    const create = 'create table T (a text, b int primary key, c text)';
    const writes = [`insert into T values ('x', 1, 'y')`, `update T set c = 'z'`];
    const table = await changed([create, ...writes], 'alter table T drop column a');
    await stage.sql(`alter table ${table} add column a text`);
    const messages = await stage.restored(table);
    expect(messages.map((message) => Object.keys(payloadOf(message).new))).toEqual([
      ['b', 'c', 'a'],
      ['b', 'c', 'a'],
    ]);
  });

  it('where it was cut has no column that came since', async () => {
    const create = ['create table T (a int primary key, b text)', 'alter table T replica identity full'];
    const writes = [`insert into T values (1, repeat('x', 300000))`, 'update T set a = 2', 'delete from T'];
    const table = await changed([...create, ...writes], 'alter table T add column c text');
    for (const message of await stage.restored(table)) {
      expect(payloadOf(message)).toMatchObject({ truncated: true });
      expect(message.relation.columns.map(({ name }) => name)).toEqual(['a', 'b']);
    }
  });

  it('is cut where messages have become smaller', async () => {
    const table = await changed(
      ['create table T (a int primary key, b text)', `insert into T values (1, repeat('x', 500))`],
      'select 1',
    );
    const [message] = await stage.restored(table, { maxPayloadBytes: 400 });
    expect(payloadOf(message as ChangeMessage)).toMatchObject({ new: { a: 1 }, truncated: true });
  });
});

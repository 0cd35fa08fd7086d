// Owns a list of the types that people store, each with values that are easily got wrong, and the one JSON
// form that protocol.md gives them: to_json of PostgreSQL itself, but for the few rules below.

/** How the JSON of to_json becomes the JSON of a message. */
export type Rule = (json: string) => string;

export type Sample = {
  readonly type: string;
  /** SQL literals or expressions of that type. */
  readonly values: readonly string[];
  readonly rule?: Rule;
};

/** int8 and numeric: a number of up to 15 significant digits, else a string. */
export const DECIMALS: Rule = (json) =>
  json.replace(/-?\d+(\.\d+)?/g, (text) => {
    const digits = text.replace(/[-.]/g, '').replace(/^0+/, '');
    return digits.length <= 15 ? text : `"${text}"`;
  });

/** timestamptz: RFC 3339 in UTC with Z. */
export const INSTANTS: Rule = (json) => json.replaceAll('+00:00', 'Z');

/** What the types of the samples need. */
export const TYPE_SETUP = `
  create extension citext;
  create extension ltree;
  create schema "Odd Schema";
  create type mood as enum ('sad', 'o"k', 'ha,ppy', 'NULL');
  create domain positive as int check (value > 0);
  create domain tags as text[];
  create domain price as numeric(12, 2);
  create type "Odd Schema"."Line Item" as ("item ""no""" int, title text, price numeric, at timestamptz, tags text[]);
  create type nested as (id int8, "first" "Odd Schema"."Line Item", "all" "Odd Schema"."Line Item"[], doc json);
  create type span as range (subtype = float8);`;

const LINE = `'"Odd Schema"."Line Item"'::regtype`;
const line = (title: string): string =>
  `row(1, ${title}, 12.50, '2024-01-15 10:30:00Z', array['a b', null, 'c"d'])::"Odd Schema"."Line Item"`;

export const SAMPLES: readonly Sample[] = [
  { type: 'int2', values: ['-32768', '32767'] },
  { type: 'int4', values: ['-2147483648', '0'] },
  {
    type: 'int8',
    values: ['9007199254740993', '-9223372036854775808', '999999999999999', '1000000000000000', '42'],
    rule: DECIMALS,
  },
  {
    type: 'numeric',
    values: [
      '123456789012345',
      '1234567890123456',
      '1.50',
      '-0.00',
      '0.000000000000000000001',
      '1e30',
      '12345678901.23456',
      `'NaN'`,
      `'Infinity'`,
      `'-Infinity'`,
    ],
    rule: DECIMALS,
  },
  { type: 'numeric(20, 4)', values: ['1234567890.1', '1234567890123.1'], rule: DECIMALS },
  { type: 'float4', values: ['0.1', '1e20', '-1e-30', `'NaN'`, `'-Infinity'`, '16777217'] },
  {
    type: 'float8',
    values: ['0.1::float8 + 0.2::float8', '1e308', '5e-324', '123456789012345678', `'-0'`, `'Infinity'`],
  },
  { type: 'bool', values: ['true', 'false'] },
  {
    type: 'text',
    values: [
      `''`,
      `'null'`,
      `E'\\b\\f\\n\\r\\t\\x01\\x1f\\x7f"\\\\/'`,
      `'😀 𝒜 é \u2028 \u00a0'`,
      `repeat('"\\ü', 100)`,
      `'{"a":1}'`,
    ],
  },
  { type: 'varchar(20)', values: [`'ends with space '`] },
  { type: 'char(6)', values: [`'ab'`] },
  { type: '"char"', values: [`'x'`, `'"'`, `''`] },
  { type: 'name', values: [`'a name'`] },
  { type: 'citext', values: [`'Mixed Case'`] },
  { type: 'ltree', values: [`'top.science'`] },
  { type: 'uuid', values: [`'0190b8a4-7c1e-7b3a-9d2f-1a2b3c4d5e6f'`] },
  { type: 'bytea', values: [`'\\x00ff5c22'`, `''`] },
  { type: 'date', values: [`'2024-02-29'`, `'infinity'`, `'0044-03-15 BC'`, `'20240-01-01'`] },
  { type: 'time', values: [`'10:30:00'`, `'23:59:59.999999'`, `'24:00:00'`] },
  { type: 'timetz', values: [`'10:30:00+05:30'`, `'10:30:00.5-12'`] },
  {
    type: 'timestamp',
    values: [
      `'2024-01-15 10:30:00'`,
      `'2024-01-15 10:30:00.000001'`,
      `'infinity'`,
      `'-infinity'`,
      `'0044-03-15 10:30:00 BC'`,
      `'294276-12-31 23:59:59'`,
    ],
  },
  {
    type: 'timestamptz',
    values: [
      `'2024-01-15 10:30:00Z'`,
      `'2024-01-15 10:30:00.1234+05:30'`,
      `'infinity'`,
      `'-infinity'`,
      `'0044-03-15 10:30:00Z BC'`,
      `'1883-11-18 12:03:58-04:56:02'`,
      `'294276-12-31 23:59:59Z'`,
    ],
    rule: INSTANTS,
  },
  { type: 'interval', values: [`'1 year 2 mons -3 days 04:05:06.7'`, `'0'`, `'-1 days'`] },
  {
    type: 'json',
    values: [
      `'{"a" :  1,\n "b":[ ] , "a": 2}'`,
      `'null'`,
      `'"text"'`,
      `' 1.0e5 '`,
      `'{"big": 12345678901234567890.123}'`,
    ],
  },
  {
    type: 'jsonb',
    values: [`'{"b": 1.50, "a": [null, "x\\"y"]}'`, `'null'`, `'"\\u00e9"'`, `'[]'`, `'12345678901234567890'`],
  },
  { type: 'jsonpath', values: [`'$.a[*] ? (@.b > 1)'`] },
  { type: 'xml', values: [`'<a b="c">d</a>'`] },
  { type: 'inet', values: [`'10.0.0.1'`, `'::1/64'`] },
  { type: 'cidr', values: [`'10.0.0.0/8'`] },
  { type: 'macaddr', values: [`'08:00:2b:01:02:03'`] },
  { type: 'macaddr8', values: [`'08:00:2b:01:02:03:04:05'`] },
  { type: 'money', values: [`'-1234.56'`] },
  { type: 'bit(3)', values: [`B'101'`] },
  { type: 'varbit', values: [`B''`, `B'10110'`] },
  { type: 'int4range', values: [`'[1,5)'`, `'empty'`, `'(,)'`] },
  { type: 'numrange', values: [`'[1.5,12345678901234567890]'`] },
  { type: 'tstzrange', values: [`'[2024-01-15 10:30:00Z,)'`] },
  { type: 'daterange', values: [`'[2024-01-01,2024-02-01)'`] },
  { type: 'span', values: [`'[0.5,1.5]'`] },
  { type: 'int4multirange', values: [`'{[1,3),[5,7)}'`, `'{}'`] },
  { type: 'tstzmultirange', values: [`'{[2024-01-15 10:30:00Z,2024-01-16 10:30:00Z)}'`] },
  { type: 'point', values: [`'(1.5,-2)'`] },
  { type: 'box', values: [`'((0,0),(1,1))'`] },
  { type: 'polygon', values: [`'((0,0),(1,1),(1,0))'`] },
  { type: 'circle', values: [`'<(0,0),2>'`] },
  { type: 'tsvector', values: [`'''a b'':1A c'`] },
  { type: 'tsquery', values: [`'a & ''b c'''`] },
  { type: 'pg_lsn', values: [`'16/B374D848'`] },
  { type: 'oid', values: ['4294967295'] },
  { type: 'xid8', values: [`'18446744073709551615'`] },
  { type: 'regclass', values: [`'pg_class'`] },
  { type: 'int2vector', values: [`'1 -2 3'`, `''`] },
  { type: 'oidvector', values: [`'1 4294967295'`] },
  {
    type: 'int4[]',
    values: [`'{}'`, `'{1,NULL,-3}'`, `'{{1,2},{3,4}}'`, `'[0:1]={1,2}'`, `'[-1:0][2:3]={{1,2},{3,4}}'`],
  },
  { type: 'int8[]', values: [`'{1,9007199254740993,NULL}'`], rule: DECIMALS },
  { type: 'numeric[]', values: [`'{1.50,1234567890.1234567,NaN,Infinity}'`], rule: DECIMALS },
  { type: 'float8[]', values: [`'{0.1,NaN,-Infinity,1e300}'`] },
  { type: 'bool[]', values: [`'{t,f,NULL}'`] },
  {
    type: 'text[]',
    values: [
      `'{}'`,
      `array['', 'null', 'NULL', null, 'a"b\\c', '{}', 'a,b', ' ', E'\\n', '😀']`,
      `array[['a', 'b c'], [null, '']]`,
    ],
  },
  { type: 'uuid[]', values: [`array['0190b8a4-7c1e-7b3a-9d2f-1a2b3c4d5e6f'::uuid]`] },
  { type: 'date[]', values: [`'{2024-02-29,infinity}'`] },
  { type: 'timestamp[]', values: [`'{2024-01-15 10:30:00.5,infinity}'`] },
  { type: 'timestamptz[]', values: [`'{2024-01-15 10:30:00Z,NULL}'`], rule: INSTANTS },
  { type: 'bytea[]', values: [`array['\\x00'::bytea, '\\x5c22']`] },
  { type: 'json[]', values: [`array['{"a": [1, "x\\"y"]}', 'null', null]::json[]`] },
  { type: 'jsonb[]', values: [`array['{"a": 1}', '"t"', null]::jsonb[]`] },
  { type: 'int4range[]', values: [`array['[1,5)'::int4range, 'empty']`] },
  { type: 'box[]', values: [`array['((0,0),(1,1))'::box, '((2,2),(3,3))']`] },
  { type: 'money[]', values: [`array['1,234.56'::money]`] },
  { type: 'interval[]', values: [`array['1 day 02:00'::interval]`] },
  { type: 'mood', values: [`'o"k'`, `'NULL'`] },
  { type: 'mood[]', values: [`array['sad', 'o"k', 'ha,ppy', 'NULL', null]::mood[]`] },
  { type: 'positive', values: ['7'] },
  { type: 'positive[]', values: [`'{1,2}'`] },
  { type: 'price', values: ['1234567890.12', '9.90'], rule: DECIMALS },
  { type: 'tags', values: [`array['a b', null]`] },
  { type: 'tags[]', values: [`array[array['a', 'b']::tags]`] },
  { type: '"Odd Schema"."Line Item"', values: [line(`'a "q", (b) \\ c'`), line('null'), line(`''`)], rule: INSTANTS },
  { type: '"Odd Schema"."Line Item"[]', values: [`array[${line(`'x'`)}, null, ${line(`'{"}'`)}]`], rule: INSTANTS },
  {
    type: 'nested',
    values: [
      `row(42, ${line(`'in (side)'`)}, array[${line(`'"'`)}, ${line('null')}], '{"a": "b\\"c"}')::nested`,
      `row(null, null, null, null)::nested`,
    ],
    rule: INSTANTS,
  },
  { type: 'regtype', values: [LINE, `'int4'::regtype`] },
];

/** A table with one column of each sample, `c0` and so on; with key, and with whole old rows. */
export function tableOf(name: string, samples: readonly Sample[]): string {
  const columns = samples.map(({ type }, index) => `c${index} ${type}`);
  return `create table ${name} (id int primary key, ${columns.join(', ')}); alter table ${name} replica identity full;`;
}

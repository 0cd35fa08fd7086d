// Owns the columns of the where oracle: for each kind of type what rows hold and what clients write. Values
// come from small sets, so that they meet, and in several spellings.

export type Random = () => number;
/** What a client may write as a value in JSON. */
export type JsonValue = string | number | boolean | null | readonly JsonValue[];

export type Kind = {
  /** SQL of the column, modifier and collation included. */
  readonly type: string;
  /** A text that the column takes. */
  readonly row: (random: Random) => string;
  /** What a client compares it with; not there where there is nothing but `is`. */
  readonly value?: (random: Random) => JsonValue;
  readonly likes?: 'like' | 'both';
  readonly isBoolean?: boolean;
  /** The type that a parameter must be told, where Postgres does not find it by itself. */
  readonly parameter?: string;
};

export function pick<T>(random: Random, items: readonly T[]): T {
  return items[Math.floor(random() * items.length)] as T;
}

export function upTo(random: Random, most: number): number {
  return Math.floor(random() * (most + 1));
}

const list =
  (...texts: string[]) =>
  (random: Random) =>
    pick(random, texts);

const PIECES = [
  ...['a', 'A', 'á', 'a\u0301', 'ä', 'b', 'B', 'z', 'Z', 'ß', 'ss', 'ﬁ', 'İ', 'i', '-', '_', '%', '\\', "'", '"', '😀'],
  ...[' ', 'NULL', '$1', '{', '}', ',', '\n', '日', '<', '::text', 'aa', 'ab', '10', '9'],
];
const CLOSE = ['a', 'A', 'á', 'a\u0301', 'ä', 'ß', 'ss', 'b'];
const text = (random: Random): string => {
  const length = pick(random, [0, 1, 1, 1, 1, 2, 2, 3]);
  return Array.from({ length }, () => pick(random, random() < 0.5 ? CLOSE : PIECES)).join('');
};
const cut = (length: number) => (random: Random) => [...text(random)].slice(0, length).join('');
/** At times a number or a boolean, which stand for their text. */
const textValue = (random: Random): JsonValue => (random() < 0.05 ? pick(random, [9, 10, true, 1.5]) : text(random));

/** A number as such where JSON can hold it, at times as its text. */
const number = (texts: readonly string[]) => (random: Random) => {
  const written = pick(random, texts);
  const exact = String(Number(written)) === written && Math.abs(Number(written)) < Number.MAX_SAFE_INTEGER;
  return exact && random() < 0.7 ? Number(written) : written;
};
const integer = (type: string, ...texts: string[]): Kind => {
  const all = ['0', '1', '-1', '2', '9', '10', ...texts];
  return { type, row: list(...all), value: number([...all, ' 7 ', '010', '-0']) };
};

const DECIMALS = ['0', '-0.00', '1', '1.0', '1.5', '1.25', '-1.25', '9', '10', '99.99', '0.5', 'NaN'];
const FINE = [
  '1.004',
  '1.005',
  '1.2499',
  '1.251',
  '1e-9',
  '100000000000000000000.000000000000000000001',
  '1e30',
  '0.50001',
];
const FLOATS = [
  '0',
  '-0',
  '1',
  '0.1',
  '0.30000000000000004',
  '0.3',
  '-2.5',
  'NaN',
  'Infinity',
  '-Infinity',
  '1e-30',
  '9',
  '10',
];

const ZONES = ['Z', '+00', '+02', '-05:30', '+14', ' UTC', ' Europe/Berlin', ' America/St_Johns', ''];
const INSTANTS = [
  '2024-02-29 12:00:00',
  '2024-02-29 10:00:00',
  '2024-02-29 17:30:00',
  '2024-02-29 12:00:00.000001',
  '1900-01-01 00:00:00',
];
const zoned = (random: Random): string => {
  if (random() < 0.1) return pick(random, ['infinity', '-infinity', '0044-03-15 00:00:00+00 BC']);
  const zone = pick(random, ZONES);
  return `${pick(random, INSTANTS).replace(' ', zone.startsWith(' ') ? ' ' : 'T')}${zone}`;
};
const local = list(
  ...INSTANTS,
  '2024-02-29T12:00:00.0000009',
  '2024-02-29',
  'infinity',
  '-infinity',
  '0044-03-15 10:00 BC',
);

const arrayOf =
  (item: (random: Random) => JsonValue, depth = 0) =>
  (random: Random): readonly JsonValue[] => {
    const length = pick(random, [0, 1, 1, 2, 2, 3]);
    if (depth < 1 && random() < 0.15) {
      const width = 1 + upTo(random, 1);
      return Array.from({ length: 2 }, () => Array.from({ length: width }, () => item(random)));
    }
    return Array.from({ length }, () => (random() < 0.15 ? null : item(random)));
  };
/** The text of an array, made independently of the product. */
export function arrayText(value: JsonValue): string {
  if (value === null) return 'NULL';
  if (Array.isArray(value)) return `{${value.map(arrayText).join(',')}}`;
  return `"${String(value).replace(/[\\"]/g, (special) => `\\${special}`)}"`;
}
const array = (type: string, item: (random: Random) => JsonValue, ...texts: string[]): Kind => ({
  type,
  row: (random) => (random() < 0.1 ? pick(random, texts) : arrayText(arrayOf(item)(random))),
  value: (random) => (random() < 0.1 ? pick(random, texts) : arrayOf(item)(random)),
});

const texts = (type: string, row: (random: Random) => string, likes?: 'like' | 'both'): Kind => ({
  type,
  row,
  value: textValue,
  ...(likes === undefined ? {} : { likes }),
});
const same = (type: string, ...all: string[]): Kind => ({ type, row: list(...all), value: list(...all) });

/** What has to be in the database for the kinds. */
export const KINDS_SQL = `
  create collation public."No Case" (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
  create collation public.danish (provider = icu, locale = 'da-u-kf-upper');
  create extension citext schema public;
  create type public."Mood" as enum ('z ok', 'a''sad', 'Big "Smile"', '');
  create type public.pair as (x numeric(4,1), y text);
  create domain public.price as numeric(8, 2) check (value > -1000);
  create domain public.nick as varchar(6) collate public."No Case";`;

/** Every kind of column, on a PostgreSQL of the given major version. */
export function kindsOn(version: number): readonly Kind[] {
  // LIKE knows collations that ignore case since 18; ILIKE does not.
  const likes = version >= 18 ? 'like' : undefined;
  return [
    integer('int2', '32767', '-32768'),
    integer('int4', '2147483647', '-2147483648'),
    integer('int8', '9223372036854775807', '-9223372036854775808', '9007199254740993', '9007199254740992'),
    {
      type: 'numeric',
      row: list(...DECIMALS, ...FINE, 'Infinity', '-Infinity'),
      value: number([...DECIMALS, ...FINE, 'Infinity', '+1.50']),
    },
    { type: 'numeric(6,2)', row: list(...DECIMALS, '1.005', '1.251'), value: number([...DECIMALS, ...FINE]) },
    {
      type: 'numeric(4,-1)',
      row: list('0', '10', '12', '990', '-10'),
      value: number(['0', '10', '12', '9', '990', '991', '-10']),
    },
    { type: 'public.price', row: list(...DECIMALS, '1.005', '1.251'), value: number([...DECIMALS, ...FINE, '-5000']) },
    { type: 'float8', row: list(...FLOATS, '1e300'), value: number([...FLOATS, '1e300', '1e-300']) },
    { type: 'float4', row: list(...FLOATS), value: number([...FLOATS, '0.10000000149']) },
    texts('text', text, 'both'),
    texts('text collate "C"', text, 'both'),
    texts('text collate public.danish', text, 'both'),
    texts('text collate public."No Case"', text, likes),
    texts('public.nick', cut(6), likes),
    texts('varchar(3)', cut(3), 'both'),
    texts('varchar collate public."No Case"', text, likes),
    texts('char(4)', cut(4), 'both'),
    texts('char(3) collate "C"', cut(3), 'both'),
    texts('public.citext', text, 'both'),
    texts('name', text, 'both'),
    {
      type: 'bool',
      row: list('t', 'f'),
      value: (random) => pick(random, [true, false, 't', 'yes', 'off', 1, 0]),
      isBoolean: true,
    },
    {
      type: 'date',
      row: list('2024-02-29', '2024-03-01', 'infinity', '-infinity', '0044-03-15 BC'),
      value: (random) =>
        pick(random, ['2024-02-29', '29 Feb 2024', 20240229, '03/01/2024', 'infinity', '0044-03-15 BC']),
    },
    same('time', '00:00', '12:30:00.5', '12:30:00.50', '24:00', '12:30 PM'),
    {
      type: 'time(0)',
      row: list('00:00', '12:30:00.5', '12:30:01'),
      value: list('00:00', '12:30:00.5', '12:30:01', '12:30:00.4'),
    },
    { type: 'timestamp', row: local, value: local },
    { type: 'timestamp(3)', row: local, value: local },
    { type: 'timestamptz', row: zoned, value: zoned },
    { type: 'timestamptz(0)', row: zoned, value: zoned },
    same(
      'interval',
      '1 day',
      '24:00:00',
      '1 mon',
      '30 days',
      '-1 day',
      '1 mon -30 days',
      '0',
      'P1DT2H',
      '00:00:00.0000001',
    ),
    {
      type: 'interval day',
      row: list('1 day', '36:00', '1 mon'),
      value: list('1 day', '36:00', '1 mon', '1 day 12:00', '24:00:00'),
    },
    same(
      'uuid',
      '0190b8a4-7c1e-7b3a-9d2f-1a2b3c4d5e6f',
      '0190B8A4-7C1E-7B3A-9D2F-1A2B3C4D5E6F',
      '{0190b8a47c1e7b3a9d2f1a2b3c4d5e6f}',
      '00000000-0000-0000-0000-000000000000',
    ),
    same('public."Mood"', 'z ok', "a'sad", 'Big "Smile"', ''),
    same('bytea', '\\x', '\\x00', '\\xFF00', '\\xff00', 'abc', '\\x616263', '\\000', "'", '\\\\'),
    same('inet', '10.0.0.1', '10.0.0.1/32', '10.0.0.0/8', '10.0.0.1/8', '::1', '2001:db8::/32'),
    same(
      'jsonb',
      '1',
      '1.0',
      '"a"',
      '"A"',
      'null',
      '[]',
      '{"a": 1, "b": [null]}',
      '{"b":[null],"a":1}',
      '"\'\\\\"',
      'true',
    ),
    array('int[]', (random) => pick(random, [0, 1, 2, 10]), '{}', '[2:3]={1,2}', '{1,2}', '{ 1 , NULL }'),
    array('text[]', textValue, '{}', '{a,b}', '[0:0]={a}', '{"",NULL,"null"}'),
    array('text[] collate "C"', textValue, '{}', '{Z,b}'),
    array('varchar(2)[] collate public."No Case"', cut(2), '{}', '{A,b}'),
    array('char(3)[]', cut(3), '{"a  ",b}', '{a,b}'),
    array('numeric(5,1)[]', (random) => pick(random, [1, 1.04, 1.05, '1.0', 'NaN']), '{}'),
    array('timestamptz(0)[]', zoned, '{}'),
    array('public."Mood"[]', list('z ok', "a'sad", 'Big "Smile"', ''), '{}'),
    same('int4range', '[1,5)', '[1,4]', '(0,5)', 'empty', '(,)', '[3,)'),
    { type: 'bit(5)', row: list('10101', '00000', '11111'), value: list('10101', '00000', '1', '101010', '1010') },
    same('varbit(6)', '10101', '', '1', '000001'),
    same('"char"', 'a', 'b', ''),
    same('macaddr', '08:00:2b:01:02:03', '08002b:010203', '08-00-2B-01-02-04'),
    same('money', '1.00', '$1', '-2.5', '1,000.50', '1000.5'),
    { ...same('public.pair', '(1,a)', '(1.0,"a")', '(1,)', '(,)', '(2.5,"b""c")'), parameter: 'public.pair' },
    { type: 'json', row: list('1', '{"a": 1, "a": 2}', 'null', '"x"') },
    { type: 'point', row: list('(1,2)', '(0,0)') },
  ];
}

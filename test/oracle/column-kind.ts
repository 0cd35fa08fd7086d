// Owns what columns of random tables are like: their types, the names they may bear (quotes, capitals, names
// that a judging statement might use itself), and literals for their values out of small domains, so that
// policies and filters are often true.

import type { Dice } from './dice.ts';

export type Kind =
  | 'number'
  | 'long'
  | 'word'
  | 'unique'
  | 'owner'
  | 'tenant'
  | 'team'
  | 'tags'
  | 'open'
  | 'amount'
  | 'made'
  | 'meta'
  | 'state'
  | 'code'
  | 'body'
  /** Generated from the column of kind `open`; not every version carries it in the stream. */
  | 'closed';

export type OracleColumn = {
  readonly name: string;
  readonly kind: Kind;
  readonly type: string;
  /** Of the primary key. */
  readonly isKey: boolean;
};

type KindRule = {
  readonly types: readonly string[];
  readonly names: readonly string[];
  /** A literal, cast to nothing. */
  readonly value: (dice: Dice) => string;
};

export const USERS: readonly string[] = Array.from({ length: 8 }, (_, n) => `00000000-0000-4000-8000-00000000000${n}`);
export const TENANTS: readonly string[] = ['acme', "o'neil", 'Über "AG"'];
export const TEAMS: readonly number[] = [1, 2, 3, 4];
export const STATES: readonly string[] = ['draft', 'shown', "kept 'back'"];
export const CODES: readonly string[] = ['7', '42', 'alpha', 'Beta', 'zeta', 'über', ''];
const WORDS = ['a', 'B', 'c d', "e'f", 'g"h', '\\', '$1', 'ü'];
const LARGE_BYTES = 2_600;

const quote = (text: string): string => `'${text.replaceAll("'", "''")}'`;
const quoted = (list: readonly (string | number)[]) => (dice: Dice) => quote(String(dice.pick(list)));
const orNull = (probability: number, value: (dice: Dice) => string) => (dice: Dice) =>
  dice.chance(probability) ? 'null' : value(dice);

/** Names that helpers of a judging statement have, or might have. */
const HELPER_NAMES = ['__rc_1', '__rc_o', '__rci', '__rcv', 'o', 'i', 'z', 'v', 'ok', 'role', 'claims', 'statement'];

export const KINDS: Readonly<Record<Kind, KindRule>> = {
  number: { types: ['int', 'smallint'], names: ['n', ...HELPER_NAMES], value: (dice) => String(dice.below(40)) },
  long: {
    types: ['bigint'],
    names: ['big', 'Big', ...HELPER_NAMES],
    value: orNull(0.1, (dice) => dice.pick(['1', '-5', '9007199254740993', '123456789012345', '1234567890123456'])),
  },
  word: { types: ['text', 'varchar(40)'], names: ['word', 'a "word"'], value: quoted(WORDS) },
  unique: { types: ['uuid'], names: ['uid', 'Uid'], value: (dice) => quote(someUuid(dice)) },
  owner: { types: ['uuid'], names: ['owner', 'Owner', 'o"wner', 'user'], value: orNull(0.15, quoted(USERS)) },
  tenant: { types: ['text'], names: ['tenant', 'Tenant', ...HELPER_NAMES], value: orNull(0.1, quoted(TENANTS)) },
  team: { types: ['int'], names: ['team', 'the team'], value: orNull(0.1, quoted(TEAMS)) },
  tags: { types: ['text[]'], names: ['tags', 'Tags'], value: orNull(0.1, someTags) },
  open: {
    types: ['boolean'],
    names: ['open', 'is_open', 'hidden'],
    value: orNull(0.2, (dice) => dice.pick(['true', 'false'])),
  },
  amount: {
    types: ['numeric', 'numeric(14,2)'],
    names: ['amount', 'Amount'],
    value: orNull(0.1, (dice) => dice.pick(['0', '1.50', '99.99', '100', '100.01', '250', '-3', '123456789012.34'])),
  },
  made: {
    types: ['timestamptz'],
    names: ['made', 'made at'],
    value: orNull(
      0.1,
      quoted(['2001-02-03T04:05:06Z', '2024-06-01T12:00:00.25+02', '2999-12-31T23:59:59Z', 'infinity']),
    ),
  },
  meta: {
    types: ['jsonb'],
    names: ['meta', 'Meta'],
    value: orNull(0.1, quoted(['null', '{}', '{"open": true}', '{"open": null, "n": 1.50}', '[1, "x"]', '"text"'])),
  },
  state: { types: ['public.oracle_state'], names: ['state', 'State'], value: orNull(0.1, quoted(STATES)) },
  code: {
    types: ['text collate "C"', 'text collate "en-x-icu"'],
    names: ['code', 'Code'],
    value: orNull(0.1, quoted(CODES)),
  },
  body: { types: ['text'], names: ['body', 'B"ody'], value: orNull(0.1, someBody) },
  closed: { types: ['boolean'], names: ['closed', 'Closed'], value: () => 'default' },
};

function someUuid(dice: Dice): string {
  return `11111111-1111-4111-8111-1111111111${String(10 + dice.below(40))}`;
}

function someTags(dice: Dice): string {
  const tags = TENANTS.filter(() => dice.chance(0.45)).map((tag) => quote(tag));
  return dice.chance(0.1) ? `'[2:3]={x,NULL}'::text[]` : `array[${tags.join(', ')}]::text[]`;
}

// Half of them are too large for their row: stored apart, and not resent where an UPDATE leaves them alone.
function someBody(dice: Dice): string {
  if (dice.chance(0.5)) return quote(dice.pick(['small', 'secret', '']));
  return `repeat('${dice.pick(['secret ', 'shown ', 'x'])}', ${Math.ceil(LARGE_BYTES / 6)})`;
}

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  columnsOf,
  leavesOf,
  MAX_ARRAY_DEPTH,
  MAX_WHERE_DEPTH,
  MAX_WHERE_LEAVES,
  MAX_WHERE_VALUES,
  parseWhere,
  type Where,
} from '../../server/protocol/where.ts';

/** Reads a where as it comes in a frame: as text. */
const parse = (where: unknown) => parseWhere(JSON.parse(JSON.stringify(where)));

function accepted(where: unknown): Where {
  const result = parse(where);
  if (!result.ok) throw new Error(result.message);
  return result.where;
}

function refusal(where: unknown): string {
  const result = parseWhere(where);
  if (result.ok) throw new Error(`was accepted: ${JSON.stringify(result.where)}`);
  return result.message;
}

const eq = (column: string, value: unknown) => ({ kind: 'compare', column, operator: 'eq', value });
const isNull = (column: string) => ({ kind: 'is', column, what: 'null' });

describe('a where', () => {
  it.each<[unknown, unknown]>([
    [{ status: 'open' }, eq('status', 'open')],
    [{ n: 0 }, eq('n', 0)],
    [{ done: false }, eq('done', false)],
    [{ name: '' }, eq('name', '')],
    [{ a: null }, isNull('a')],
    [{ total: { gt: 100 } }, { kind: 'compare', column: 'total', operator: 'gt', value: 100 }],
    [{ total: { neq: 'NaN' } }, { kind: 'compare', column: 'total', operator: 'neq', value: 'NaN' }],
    [
      { total: { gt: 1, lte: 5 } },
      {
        kind: 'and',
        terms: [
          { kind: 'compare', column: 'total', operator: 'gt', value: 1 },
          { kind: 'compare', column: 'total', operator: 'lte', value: 5 },
        ],
      },
    ],
    [
      { a: 1, b: null },
      { kind: 'and', terms: [eq('a', 1), isNull('b')] },
    ],
    [{ or: [{ a: 1 }, { b: 2 }] }, { kind: 'or', terms: [eq('a', 1), eq('b', 2)] }],
    [{ and: [{ a: 1 }, { b: 2 }] }, { kind: 'and', terms: [eq('a', 1), eq('b', 2)] }],
    [{ or: [{ a: 1 }] }, eq('a', 1)],
    [{ not: { a: 1, b: 2 } }, { kind: 'not', term: { kind: 'and', terms: [eq('a', 1), eq('b', 2)] } }],
    [{ a: { in: [1, 'x', true] } }, { kind: 'in', column: 'a', values: [1, 'x', true] }],
    [{ a: { like: '%\\%' } }, { kind: 'like', column: 'a', pattern: '%\\%', ignoresCase: false }],
    [{ a: { ilike: 'x\\\\' } }, { kind: 'like', column: 'a', pattern: 'x\\\\', ignoresCase: true }],
    [{ a: { is: null } }, isNull('a')],
    [{ a: { is: 'not null' } }, { kind: 'is', column: 'a', what: 'not null' }],
    [{ a: { is: true } }, { kind: 'is', column: 'a', what: 'true' }],
    [{ a: { is: false } }, { kind: 'is', column: 'a', what: 'false' }],
    [{ tags: { eq: [] } }, eq('tags', [])],
    [{ tags: { eq: ['a', null, [1, true]] } }, eq('tags', ['a', null, [1, true]])],
    [{ tags: { in: [['a'], ['b', null]] } }, { kind: 'in', column: 'tags', values: [['a'], ['b', null]] }],
    [{ tags: { gt: [1] } }, { kind: 'compare', column: 'tags', operator: 'gt', value: [1] }],
  ])('%j is read', (where, tree) => {
    expect(accepted(where)).toEqual(tree);
  });

  it('names columns called and, or, eq and in by an operator', () => {
    expect(accepted({ and: { eq: 1 } })).toEqual(eq('and', 1));
    expect(accepted({ or: { is: null } })).toEqual(isNull('or'));
    expect(accepted({ eq: 1, in: 2 })).toEqual({ kind: 'and', terms: [eq('eq', 1), eq('in', 2)] });
    expect(accepted({ not: { not: { and: { eq: 1 } } } })).toMatchObject({ kind: 'not', term: { kind: 'not' } });
  });

  it.each(['__proto__', 'constructor', 'toString', 'hasOwnProperty', '', ' ', '"', "'; drop", 'Ünïcode'])(
    'takes %j as a plain name of a column',
    (name) => {
      const text = `{${JSON.stringify(name)}: {"gte": 1}}`;
      const result = parseWhere(JSON.parse(text));
      expect(result).toEqual({
        ok: true,
        where: { kind: 'compare', column: name, operator: 'gte', value: 1 },
      });
      expect(result.ok && [...columnsOf(result.where)]).toEqual([name]);
    },
  );

  it('knows each column that it names once', () => {
    const where = accepted({ a: 1, or: [{ b: null }, { not: { a: { in: [1] }, c: { like: 'x' } } }] });
    expect([...columnsOf(where)]).toEqual(['a', 'b', 'c']);
  });

  it.each<[unknown, string | RegExp]>([
    [{}, 'where must not be empty'],
    [{ a: {} }, 'where.a must not be empty'],
    [{ not: {} }, 'where.not must not be empty'],
    [{ and: [] }, /^where\.and takes a list/],
    [{ or: [] }, /^where\.or takes a list/],
    [{ or: [{ a: 1 }, {}] }, 'where.or[1] must not be empty'],
    [{ or: 5 }, /^where\.or takes a list/],
    [{ and: null }, /^where\.and takes a list/],
    [{ or: ['a'] }, 'where.or[0] must be an object'],
    [{ or: [[{ a: 1 }]] }, 'where.or[0] must be an object'],
    [{ not: [{ a: 1 }] }, 'where.not must be an object'],
    [{ not: null }, 'where.not must be an object'],
    [null, 'where must be an object'],
    [[{ a: 1 }], 'where must be an object'],
    ['a', 'where must be an object'],
    [undefined, 'where must be an object'],
    [{ a: { equals: 1 } }, /^where\.a\.equals is no operator; there are eq, neq, gt/],
    [{ a: { EQ: 1 } }, /is no operator/],
    [{ a: { eq: 1, or: [] } }, /^where\.a\.or is no operator/],
    [JSON.parse('{"a": {"__proto__": 1}}'), /is no operator/],
    [{ a: { toString: 1 } }, /is no operator/],
    [{ 'order id': { x: 1 } }, /^where\["order id"\]\.x is no operator/],
    [{ a: { eq: null } }, /^where\.a\.eq takes no null; use \{"is": null\}/],
    [{ a: { neq: null } }, /takes no null/],
    [{ a: { in: [1, null] } }, /^where\.a\.in\[1\] takes no null/],
    [{ a: { gt: { b: 1 } } }, /^where\.a\.gt takes a text/],
    [{ a: { eq: [{ b: 1 }] } }, /^where\.a\.eq\[0\] takes a text/],
    [{ a: [1, 2] }, /^where\.a takes no bare list; use \{"in": \[…\]\}/],
    [{ a: { in: [] } }, /^where\.a\.in takes a list of at least one/],
    [{ a: { in: 'x' } }, /^where\.a\.in takes a list/],
    [{ a: { in: { 0: 1 } } }, /^where\.a\.in takes a list/],
    [{ a: { like: 5 } }, 'where.a.like takes a text'],
    [{ a: { ilike: null } }, 'where.a.ilike takes a text'],
    [{ a: { like: 'x\\' } }, /^where\.a\.like must not end in a backslash/],
    [{ a: { like: '\\%\\\\\\' } }, /must not end in a backslash/],
    [{ a: { is: 'null' } }, /^where\.a\.is takes null, true, false or "not null"/],
    [{ a: { is: 1 } }, /^where\.a\.is takes/],
    [JSON.parse('{"a": 1e400}'), /^where\.a is no finite number/],
    [{ a: Number.NaN }, /is no finite number/],
    [JSON.parse('{"a": 9007199254740993}'), /^where\.a is a number too large to be exact; write it as a text/],
    [{ a: 'x\0y' }, /^where\.a holds a zero byte/],
    [{ a: { like: '\0' } }, /^where\.a\.like holds a zero byte/],
    [{ a: { eq: ['\ud800'] } }, /^where\.a\.eq\[0\] holds half a surrogate pair/],
    [{ a: undefined }, /^where\.a takes a text/],
    [{ a: 1n }, /^where\.a takes a text/],
  ])('%o is refused: %s', (where, message) => {
    if (typeof message === 'string') expect(refusal(where)).toBe(message);
    else expect(refusal(where)).toMatch(message);
  });

  it('shows long names cut in its refusals', () => {
    expect(refusal({ [`${'x'.repeat(50_000)}`]: { y: 1 } }).length).toBeLessThan(300);
  });

  it('has a limit of depth', () => {
    const nested = (depth: number): unknown => (depth === 1 ? { a: 1 } : { not: nested(depth - 1) });
    expect(accepted(nested(MAX_WHERE_DEPTH))).toMatchObject({ kind: 'not' });
    expect(refusal(nested(MAX_WHERE_DEPTH + 1))).toMatch(/is nested deeper than 8$/);
    const listed = (depth: number): unknown => (depth === 1 ? { a: 1 } : { and: [listed(depth - 1), { b: 1 }] });
    expect(accepted(listed(MAX_WHERE_DEPTH))).toMatchObject({ kind: 'and' });
    expect(refusal(listed(MAX_WHERE_DEPTH + 1))).toMatch(/is nested deeper/);
  });

  it('has a limit of conditions, wherever they stand', () => {
    const terms = (count: number) => Array.from({ length: count }, (_, index) => ({ [`c${index}`]: { gt: 1, lt: 5 } }));
    expect(leavesOf(accepted({ or: terms(MAX_WHERE_LEAVES / 2) }))).toHaveLength(MAX_WHERE_LEAVES);
    expect(refusal({ or: terms(MAX_WHERE_LEAVES / 2), z: 1 })).toBe(
      'where.z is one condition too many; a where has 64 at most',
    );
  });

  it('has a limit of values, of all lists together', () => {
    const list = (count: number) => Array.from({ length: count }, (_, index) => index);
    expect(accepted({ a: { in: list(MAX_WHERE_VALUES) } })).toMatchObject({ kind: 'in' });
    expect(refusal({ a: { in: list(MAX_WHERE_VALUES + 1) } })).toMatch(/^where\.a\.in holds too many values/);
    expect(refusal({ a: { in: list(600) }, b: { in: list(600) } })).toMatch(/^where\.b\.in holds too many values/);
    expect(refusal({ a: { eq: [list(600), list(600)] } })).toMatch(/^where\.a\.eq\[1\] holds too many values/);
  });

  it('has a limit of array dimensions', () => {
    const array = (depth: number): unknown => (depth === 0 ? 1 : [array(depth - 1)]);
    expect(accepted({ a: { eq: array(MAX_ARRAY_DEPTH) } })).toMatchObject({ kind: 'compare' });
    expect(refusal({ a: { eq: array(MAX_ARRAY_DEPTH + 1) } })).toMatch(/more than 6 dimensions/);
  });

  it.each([
    ['objects', `${'{"not":'.repeat(100_000)}{"a":1}${'}'.repeat(100_000)}`],
    ['lists', `${'{"and":['.repeat(50_000)}{"a":1}${']}'.repeat(50_000)}`],
    ['arrays', `{"a":{"eq":${'['.repeat(100_000)}${']'.repeat(100_000)}}}`],
    ['conditions', `{"or":[${'{"a":1},'.repeat(300_000)}{"a":1}]}`],
    ['values', `{"a":{"in":[${'1,'.repeat(1_000_000)}1]}}`],
  ])('of no end of %s is refused in no time', (_, text) => {
    const json: unknown = JSON.parse(text);
    const start = performance.now();
    expect(parseWhere(json).ok).toBe(false);
    expect(performance.now() - start).toBeLessThan(50);
  });

  it('is a tree within the limits or a refusal for any JSON, never an exception', () => {
    let read = 0;
    const key = fc.oneof(
      { weight: 3, arbitrary: fc.constantFrom('a', 'b', 'not', 'and', 'or', '__proto__') },
      { weight: 3, arbitrary: fc.constantFrom('eq', 'neq', 'gt', 'lte', 'in', 'like', 'ilike', 'is') },
      fc.string({ unit: 'binary', maxLength: 5 }),
    );
    const { anything } = fc.letrec<{ anything: unknown }>((tie) => ({
      anything: fc.oneof(
        { depthSize: 'large' },
        fc.oneof(fc.constantFrom<unknown>(null, true, 'not null', 'x%', 1, -0.5), fc.string(), fc.double()),
        fc.array(tie('anything'), { maxLength: 4 }),
        fc.dictionary(key, tie('anything'), { minKeys: 1, maxKeys: 3 }),
      ),
    }));
    fc.assert(
      fc.property(fc.oneof(anything, fc.anything()), (json) => {
        const result = parseWhere(json);
        if (!result.ok) {
          expect(result.message).toMatch(/^where/);
          return;
        }
        read += 1;
        expect(depthOf(result.where)).toBeLessThanOrEqual(MAX_WHERE_DEPTH * 2);
        expect(leavesOf(result.where).length).toBeGreaterThan(0);
        expect(leavesOf(result.where).length).toBeLessThanOrEqual(MAX_WHERE_LEAVES);
        if (depthOf(result.where) > MAX_WHERE_DEPTH) return;
        expect(JSON.stringify(accepted(written(result.where)))).toBe(JSON.stringify(result.where));
      }),
      { numRuns: 1_000 },
    );
    expect(read).toBeGreaterThan(20);
  });
});

/** An object of keys and one of operators may each add an `and` to a level. */
function depthOf(where: Where): number {
  if (where.kind === 'not') return 1 + depthOf(where.term);
  return 'terms' in where ? 1 + Math.max(...where.terms.map(depthOf)) : 1;
}

/** The longest way to write a tree; joins stay as deep as they are, for the limit is checked apart. */
function written(where: Where): object {
  if (where.kind === 'not') return { not: written(where.term) };
  if ('terms' in where) return { [where.kind]: where.terms.map(written) };
  const own = (name: string, value: unknown) => Object.fromEntries([[name, value]]);
  if (where.kind === 'compare') return own(where.column, { [where.operator]: where.value });
  if (where.kind === 'in') return own(where.column, { in: where.values });
  if (where.kind === 'like') return own(where.column, { [where.ignoresCase ? 'ilike' : 'like']: where.pattern });
  return own(where.column, { is: { null: null, 'not null': 'not null', true: true, false: false }[where.what] });
}

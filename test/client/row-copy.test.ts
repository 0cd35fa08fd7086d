// Owns what events do to the rows of a copy: whatever is done to a table, the copy that applies its events is equal.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RowCopy } from '../../client/lib/row-copy.js';
import type { RowChange, RowEvent } from '../../client/rowcast.js';

type Row = Record<string, unknown>;

function event(eventType: RowEvent, values: Row | null, old: Row | null, more: Partial<RowChange> = {}): RowChange {
  return { schema: 'public', table: 't', commit_timestamp: '', eventType, new: values, old, ...more };
}

function copyOf(key: readonly string[], rows: readonly Row[] = []): RowCopy {
  const copy = new RowCopy(key);
  for (const row of rows) copy.add(row, false);
  return copy;
}

describe('a row', () => {
  it('keeps its place when it changes, its key as well', () => {
    const copy = copyOf(['id'], [{ id: 1 }, { id: 2 }, { id: 3 }]);
    copy.apply(event('UPDATE', { id: 9, title: 'moved' }, { id: 1 }), 'tx 1');
    expect(copy.rows).toEqual([{ id: 9, title: 'moved' }, { id: 2 }, { id: 3 }]);
    expect([copy.get(1), copy.get(9)]).toEqual([undefined, { id: 9, title: 'moved' }]);
  });

  it('that comes into view by an update is inserted, and that is not there is not deleted', () => {
    const copy = copyOf(['id']);
    expect(copy.apply(event('UPDATE', { id: 1 }, { id: 1 }), 'tx 1')).toMatchObject({ type: 'insert' });
    expect(copy.apply(event('DELETE', null, { id: 2 }), 'tx 1')).toBeUndefined();
    expect(copy.rows).toEqual([{ id: 1 }]);
  });

  it('that is inserted again replaces the one that went away unseen', () => {
    const copy = copyOf(['id'], [{ id: 1, title: 'old' }]);
    const change = copy.apply(event('INSERT', { id: 1, title: 'new' }, null, { cause: 'UPDATE' }), 'tx 1');
    expect(change).toEqual({ type: 'update', row: { id: 1, title: 'new' }, old: { id: 1, title: 'old' } });
    copy.apply(event('DELETE', null, { id: 1 }), 'tx 1');
    expect(copy.size).toBe(0);
  });

  it('that takes the key of one that went away unseen replaces it', () => {
    const copy = copyOf(['id'], [{ id: 1, title: 'gone' }, { id: 2 }]);
    const change = copy.apply(event('UPDATE', { id: 1, title: 'new' }, { id: 7 }), 'tx 1');
    expect(change).toEqual({ type: 'update', row: { id: 1, title: 'new' }, old: { id: 1, title: 'gone' } });
    expect(copy.rows).toEqual([{ id: 1, title: 'new' }, { id: 2 }]);
  });

  it('takes over what was not sent again, and becomes whole with the next value', () => {
    const copy = copyOf(['id'], [{ id: 1, big: 'value', n: 1 }]);
    copy.apply(event('UPDATE', { id: 1, n: 2 }, { id: 1 }, { unchanged: ['big'] }), 'tx 1');
    copy.apply(event('UPDATE', { id: 2, n: 3 }, { id: 2 }, { unchanged: ['big'] }), 'tx 2');
    expect(copy.rows).toEqual([
      { id: 1, big: 'value', n: 2 },
      { id: 2, n: 3 },
    ]);
    const isWhole = (): boolean[] => copy.rows.map((row) => copy.isWhole(row));
    expect(isWhole()).toEqual([true, false]);
    copy.apply(event('UPDATE', { id: 2, n: 3, big: 'again' }, { id: 2 }), 'tx 3');
    expect(isWhole()).toEqual([true, true]);
  });

  it('is found by the values of its key, whatever their types', () => {
    const rows = [
      { a: 1, b: '1' },
      { a: '1', b: 1 },
      { a: null, b: 'x' },
    ];
    const copy = copyOf(['a', 'b'], rows);
    expect(rows.map((row) => copy.get({ ...row, more: true }))).toEqual(rows);
    expect([copy.get(1), copy.get({ a: 1 }), copyOf([], rows).get(1)]).toEqual([undefined, undefined, undefined]);
    expect(copyOf(['id'], [{ id: 'x' }]).get('x')).toEqual({ id: 'x' });
  });

  it('without a key is one of its equals', () => {
    const copy = copyOf([], [{ v: 1 }, { v: 1 }, { v: 2 }]);
    copy.apply(event('DELETE', null, { v: 1 }), 'tx 1');
    copy.apply(event('INSERT', { v: 2 }, null), 'tx 1');
    copy.apply(event('UPDATE', { v: 3 }, { v: 2 }), 'tx 1');
    expect(copy.rows).toEqual([{ v: 1 }, { v: 3 }, { v: 2 }]);
  });
});

describe('keys exchanged in one transaction', () => {
  it('are exchanged in the copy', () => {
    const copy = copyOf(
      ['id'],
      [1, 2, 3].map((id) => ({ id, was: id })),
    );
    for (const [from, to] of [
      [1, 2],
      [2, 3],
      [3, 1],
    ]) {
      copy.apply(event('UPDATE', { id: to, was: from }, { id: from, was: from }), 'tx 1');
    }
    expect([1, 2, 3].map((id) => copy.get(id))).toEqual([
      { id: 1, was: 3 },
      { id: 2, was: 1 },
      { id: 3, was: 2 },
    ]);
  });

  it('let a row be inserted before the former one is deleted', () => {
    const copy = copyOf(['id'], [{ id: 1, v: 'old' }]);
    copy.apply(event('INSERT', { id: 1, v: 'new' }, null), 'tx 1');
    copy.apply(event('DELETE', null, { id: 1, v: 'old' }), 'tx 1');
    expect(copy.rows).toEqual([{ id: 1, v: 'new' }]);
  });
});

it('what the columns do not name is refused', () => {
  expect(() => copyOf(['id'], [{ title: 'x' }])).toThrow(expect.objectContaining({ code: 'no_key' }));
  const change = event('DELETE', null, {}, { truncated: true });
  expect(() => copyOf([]).apply(change, 'tx 1')).toThrow(expect.objectContaining({ code: 'no_key' }));
});

describe('a copy that applies the events of random transactions is equal to the table', () => {
  /** What is done: insert, update in place, move to another key, delete, truncate. */
  const action = fc.record({
    kind: fc.constantFrom('insert', 'update', 'move', 'delete', 'truncate'),
    id: fc.nat(5),
    to: fc.nat(5),
    value: fc.nat(2),
  });
  const transactions = fc.array(fc.array(action, { maxLength: 6 }), { maxLength: 25 });
  type Action = { kind: string; id: number; to: number; value: number };

  /** Does one action to `table`, and tells the event; undefined where it does nothing. */
  function act(table: Row[], { kind, id, to, value }: Action, isFull: boolean, isKeyed: boolean) {
    if (kind === 'truncate') {
      if (value > 0) return undefined;
      table.length = 0;
      return event('TRUNCATE', null, null);
    }
    const at = table.findIndex((row) => row.id === id);
    const oldOf = (row: Row): Row => (isFull ? row : { id: row.id });
    if (kind === 'insert') {
      if (isKeyed && at !== -1) return undefined;
      table.push({ id, value });
      return event('INSERT', { id, value }, null);
    }
    const [row] = at === -1 ? [] : table.splice(at, 1);
    if (row === undefined) return undefined;
    if (kind === 'delete') return event('DELETE', null, oldOf(row));
    const isFree = !isKeyed || !table.some((other) => other.id === to);
    const next = { id: kind === 'move' && isFree ? to : id, value };
    table.splice(at, 0, next);
    return event('UPDATE', next, oldOf(row));
  }

  const sorted = (rows: readonly Row[]): string[] => rows.map((row) => JSON.stringify(row)).sort();

  it.each([
    ['a key, and only it in old images', ['id'], false],
    ['a key, and whole old images', ['id'], true],
    ['no key, and whole old images', [], true],
  ] as const)('with %s', (_what, key, isFull) => {
    fc.assert(
      fc.property(transactions, (all) => {
        const table: Row[] = [];
        const copy = copyOf(key);
        for (const [number, actions] of all.entries()) {
          for (const each of actions) {
            const change = act(table, each, isFull, key.length > 0);
            if (change !== undefined) copy.apply(change, `tx ${number}`);
          }
          expect(sorted(copy.rows)).toEqual(sorted(table));
          expect(copy.size).toBe(table.length);
        }
        // In the same order as well, where rows have names.
        if (key.length > 0) expect(copy.rows).toEqual(table);
      }),
    );
  });

  it('with a key that is checked at the end of a transaction', () => {
    const renumbering = fc.array(fc.shuffledSubarray([0, 1, 2, 3, 4, 5], { minLength: 6 }), { maxLength: 10 });
    fc.assert(
      fc.property(renumbering, (all) => {
        let table: Row[] = [0, 1, 2, 3, 4, 5].map((id) => ({ id, row: id }));
        const copy = copyOf(['id'], table);
        for (const [number, order] of all.entries()) {
          const next = table.map((row, index) => ({ ...row, id: order[index] }));
          for (const [index, row] of next.entries()) {
            copy.apply(event('UPDATE', row, table[index] as Row), `tx ${number}`);
          }
          table = next;
          expect(sorted(copy.rows)).toEqual(sorted(table));
        }
      }),
    );
  });
});

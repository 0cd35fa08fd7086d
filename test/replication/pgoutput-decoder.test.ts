import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TupleView } from '../../server/changes/tuple-view.ts';
import { toEpoch, toLsn, ZERO_LSN } from '../../server/lib/position.ts';
import { DecodeError, type DecoderOptions, PgoutputDecoder } from '../../server/replication/pgoutput-decoder.ts';
import type { RowEntry, Tuple, WalEntry } from '../../server/replication/wal-entry.ts';
import {
  begin,
  commit,
  insert,
  logicalMessage,
  origin,
  relation,
  remove,
  type TestValue,
  truncate,
  type,
  update,
} from './pgoutput-messages.ts';

const POSTS = 16_400;
const columns = [
  { name: 'id', typeOid: 23, isKey: true },
  { name: 'title', typeOid: 25, isKey: false },
];
const posts = relation(POSTS, 'public', 'posts', columns);
const options: DecoderOptions = { epoch: toEpoch(1), handled: ZERO_LSN };

/** Neighbours of a message inside a chunk: a decoder that reads outside meets plausible bytes. */
const NEIGHBOUR = Buffer.from('I\0\0@\x10N\0\x02t\0\0\0\x011n');

function decodeIn(decoder: PgoutputDecoder, message: Buffer): WalEntry | undefined {
  const bytes = Buffer.concat([NEIGHBOUR, message, NEIGHBOUR]);
  return decoder.decode(bytes, NEIGHBOUR.length, NEIGHBOUR.length + message.length);
}

function decodeAll(messages: readonly Buffer[], given: DecoderOptions = options): WalEntry[] {
  const decoder = new PgoutputDecoder(given);
  return messages.map((message) => decodeIn(decoder, message)).filter((entry) => entry !== undefined);
}

function values(tuple: Tuple | null): TestValue[] | null {
  if (tuple === null) return null;
  const view = new TupleView().read(tuple);
  return Array.from({ length: view.count }, (_, index) => {
    if (view.isNull(index)) return null;
    if (view.isUnchanged(index)) return undefined;
    return Buffer.from(view.bytes.subarray(view.start(index), view.end(index))).toString();
  });
}

const rowsOf = (entries: readonly WalEntry[]): RowEntry[] => entries.filter((entry) => entry.kind === 'row');

describe('the decoder', () => {
  it('gives rows with both tuples, in order, and the commit behind them', () => {
    const entries = decodeAll([
      begin(100n, -5n, 0xffff_ffff),
      posts,
      insert(POSTS, ['1', 'é"\n']),
      update(POSTS, ['1', undefined]),
      update(POSTS, ['2', null], ['1', null]),
      update(POSTS, ['2', 'new'], ['2', 'old'], 'O'),
      remove(POSTS, ['2', null]),
      remove(POSTS, ['2', 'old'], 'O'),
      commit(100n, 164n),
    ]);
    expect(
      rowsOf(entries).map(({ operation, index, newTuple, oldTuple }) => [
        operation,
        index,
        values(newTuple),
        values(oldTuple),
      ]),
    ).toEqual([
      ['INSERT', 0, ['1', 'é"\n'], null],
      ['UPDATE', 1, ['1', undefined], null],
      ['UPDATE', 2, ['2', null], ['1', null]],
      ['UPDATE', 3, ['2', 'new'], ['2', 'old']],
      ['DELETE', 4, null, ['2', null]],
      ['DELETE', 5, null, ['2', 'old']],
    ]);
    const transaction = { epoch: 1, lsn: 100n, xid: 0xffff_ffff, commitMicros: -5n };
    expect(entries.at(-1)).toEqual({ kind: 'commit', transaction, endLsn: 164n });
    expect(rowsOf(entries)[0]?.transaction).toBe(rowsOf(entries)[5]?.transaction);
  });

  it('reads a table with its columns, keys and identity; pg_catalog where none is named', () => {
    const describedAs = (identity: string, schema = 'audit') =>
      rowsOf(decodeAll([begin(1n), relation(1, schema, 'Order "Items"', columns, identity), insert(1, ['1', null])]))[0]
        ?.relation;
    expect(describedAs('d')).toEqual({
      oid: 1,
      schema: 'audit',
      name: 'Order "Items"',
      identity: 'key',
      columns: [
        { name: 'id', typeOid: 23, isKey: true },
        { name: 'title', typeOid: 25, isKey: false },
      ],
    });
    expect([describedAs('i'), describedAs('f'), describedAs('n')].map((each) => each?.identity)).toEqual([
      'key',
      'full',
      'none',
    ]);
    expect(describedAs('d', '')?.schema).toBe('pg_catalog');
  });

  it('makes a new table object of every Relation message, for what is remembered of the old one', () => {
    const rows = rowsOf(decodeAll([begin(1n), posts, insert(POSTS, ['1', '']), posts, insert(POSTS, ['2', ''])]));
    expect(rows[0]?.relation).toEqual(rows[1]?.relation);
    expect(rows[0]?.relation).not.toBe(rows[1]?.relation);
  });

  it('counts rows, truncated tables and transactional messages, and begins again in each transaction', () => {
    const entries = decodeAll([
      begin(8n),
      posts,
      relation(1, 'public', 'other', columns),
      insert(POSTS, ['1', null]),
      logicalMessage(true, 'forged', 'obey me'),
      logicalMessage(false, 'forged', 'obey me'),
      origin(),
      type(),
      insert(POSTS, ['2', null]),
      truncate([POSTS, 1]),
      insert(POSTS, ['3', null]),
      commit(8n),
      logicalMessage(false, 'between', 'transactions'),
      begin(16n),
      insert(POSTS, ['4', null]),
      commit(16n),
    ]);
    const indexes = entries.map((entry) => (entry.kind === 'commit' ? 'commit' : entry.index));
    expect(indexes).toEqual([0, 2, 3, 5, 'commit', 0, 'commit']);
    expect(entries[2]).toMatchObject({ kind: 'truncate', relations: [{ name: 'posts' }, { name: 'other' }] });
  });

  it('drops what was handled, whole, but hands on its commit and remembers its tables', () => {
    const given = { ...options, handled: toLsn(100n) };
    const handled = [begin(100n), posts, insert(POSTS, ['1', null]), truncate([POSTS]), commit(100n)];
    const next = [begin(101n), insert(POSTS, ['2', null]), commit(101n)];
    const entries = decodeAll([...handled, ...next], given);
    expect(entries.map(({ kind, transaction }) => [kind, transaction.lsn])).toEqual([
      ['commit', 100n],
      ['row', 101n],
      ['commit', 101n],
    ]);
    expect(rowsOf(entries)[0]?.index).toBe(0);
  });

  it('knows whether a transaction is open', () => {
    const decoder = new PgoutputDecoder(options);
    expect(decoder.isInTransaction).toBe(false);
    decodeIn(decoder, begin(1n));
    expect(decoder.isInTransaction).toBe(true);
    decodeIn(decoder, commit(1n));
    expect(decoder.isInTransaction).toBe(false);
  });

  it.each([
    ['a row outside a transaction', [posts, insert(POSTS, ['1', null])]],
    ['a commit outside a transaction', [commit(1n)]],
    ['a truncate outside a transaction', [posts, truncate([POSTS])]],
    ['a transaction inside another', [begin(1n), begin(2n)]],
    ['a commit of another transaction', [begin(1n), commit(2n)]],
    ['a row of a table that was not announced', [begin(1n), insert(POSTS, ['1', null])]],
    ['a truncate of a table that was not announced', [begin(1n), truncate([POSTS])]],
    ['a row of more columns than its table', [begin(1n), posts, insert(POSTS, ['1', null, null])]],
    ['a row of fewer columns than its table', [begin(1n), posts, insert(POSTS, ['1'])]],
    ['an old row of other columns than its table', [begin(1n), posts, update(POSTS, ['1', null], ['1'])]],
    ['an identity that does not exist', [relation(1, 'a', 'b', columns, 'x')]],
    ['a message that does not exist', [Buffer.from('Z')]],
    ['a message of streaming mode', [Buffer.from('S\0\0\0\x01\x01')]],
    ['an empty message', [Buffer.alloc(0)]],
  ])('refuses %s', (_, messages) => {
    expect(() => decodeAll(messages)).toThrow(DecodeError);
  });
});

describe('a broken stream', () => {
  const names = fc.string({ maxLength: 6 }).map((name) => name.replaceAll('\0', '') || 'c');
  const cells = fc.oneof(fc.string({ maxLength: 80 }), fc.constant(null), fc.constant(undefined));
  const messages = fc
    .array(names, { minLength: 1, maxLength: 5 })
    .chain((columnNames) =>
      fc.tuple(
        fc.constant(
          relation(
            POSTS,
            'public',
            't',
            columnNames.map((name) => ({ name, typeOid: 25, isKey: true })),
          ),
        ),
        fc.array(
          fc.oneof(
            fc
              .array(cells, { minLength: columnNames.length, maxLength: columnNames.length })
              .chain((row) =>
                fc.constantFrom(insert(POSTS, row), update(POSTS, row), update(POSTS, row, row), remove(POSTS, row)),
              ),
            fc.constantFrom(truncate([POSTS]), logicalMessage(true, 'p', 'c'), origin(), type(), commit(1n), begin(2n)),
          ),
          { minLength: 1, maxLength: 6 },
        ),
      ),
    )
    .map(([table, rest]) => [begin(1n), table, ...rest]);
  /** What is done to one message: a byte changed, an end cut off, bytes appended. */
  const damages = fc.oneof(
    fc.record({ kind: fc.constant('flip' as const), at: fc.nat(400), to: fc.nat(255) }),
    fc.record({ kind: fc.constant('cut' as const), at: fc.nat(400), to: fc.constant(0) }),
    fc.record({ kind: fc.constant('append' as const), at: fc.nat(20), to: fc.nat(255) }),
  );

  function damaged(message: Buffer, { kind, at, to }: { kind: string; at: number; to: number }): Buffer {
    if (kind === 'append') return Buffer.concat([message, Buffer.alloc(at + 1, to)]);
    if (message.length === 0) return message;
    if (kind === 'cut') return message.subarray(0, at % message.length);
    const copy = Buffer.from(message);
    copy[at % message.length] = to;
    return copy;
  }

  it('is read or refused, never outside the message and never for ever', () => {
    fc.assert(
      fc.property(messages, fc.nat(7), damages, (whole, which, damage) => {
        const stream = whole.map((message, index) =>
          index === which % whole.length ? damaged(message, damage) : message,
        );
        const decoder = new PgoutputDecoder(options);
        try {
          for (const message of stream) {
            const bytes = fenced(message);
            const entry = decoder.decode(bytes, FENCE, FENCE + message.length);
            if (entry?.kind === 'row') [entry.newTuple, entry.oldTuple].map(values);
          }
        } catch (error) {
          if (!(error instanceof DecodeError) && !(error instanceof RangeError)) throw error;
        }
      }),
      { numRuns: 3_000 },
    );
  });

  it('is refused at every length that a message can be cut to', () => {
    const parts = [
      begin(1n),
      posts,
      insert(POSTS, ['1', 'two']),
      update(POSTS, ['1', undefined], ['1', null]),
      remove(POSTS, ['1', null]),
      truncate([POSTS]),
      commit(1n),
    ];
    for (const [which, message] of parts.entries()) {
      for (let length = 0; length < message.length; length++) {
        const cut = [...parts.slice(0, which), message.subarray(0, length)];
        expect(() =>
          decodeAll(cut).map((entry) => entry.kind === 'row' && [entry.newTuple, entry.oldTuple].map(values)),
        ).toThrow();
      }
    }
  });

  const FENCE = 4_096;

  /** The message between two areas that nobody may read: every typed read of them throws another error. */
  function fenced(message: Buffer): Buffer {
    const bytes = Buffer.concat([Buffer.alloc(FENCE), message, Buffer.alloc(FENCE)]);
    const isOutside = (property: string | symbol): boolean => {
      if (typeof property !== 'string' || !/^\d+$/.test(property)) return false;
      return Number(property) < FENCE || Number(property) >= FENCE + message.length;
    };
    return new Proxy(bytes, {
      get(target, property) {
        if (isOutside(property)) throw new Error(`byte ${String(property)} is outside of the message`);
        const value = Reflect.get(target, property, target);
        if (typeof value !== 'function') return value;
        return (...args: unknown[]) => {
          const width = { readUInt32BE: 4, readUInt16BE: 2, readUInt8: 1, readBigUInt64BE: 8, readBigInt64BE: 8 }[
            String(property)
          ];
          const at = args[0] as number;
          if (width !== undefined && (at < FENCE || at + width > FENCE + message.length)) {
            throw new Error(`${String(property)}(${at}) is outside of the message`);
          }
          return value.apply(target, args);
        };
      },
    });
  }
});

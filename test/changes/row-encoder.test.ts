import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RowEncoder } from '../../server/changes/row-encoder.ts';
import { toEpoch, ZERO_LSN } from '../../server/lib/position.ts';
import { ByteWriter } from '../../server/protocol/byte-writer.ts';
import { BUILT_IN_TYPES, TEXT } from '../../server/protocol/value-type.ts';
import { PgoutputDecoder } from '../../server/replication/pgoutput-decoder.ts';
import type { RowEntry } from '../../server/replication/wal-entry.ts';
import { begin, insert, relation, remove, type TestValue, update } from '../replication/pgoutput-messages.ts';

const TABLE = 16_400;
const MIDDLE = '"commit_timestamp":"t","eventType":"E",';
const JSON_OID = 114;
const FLOAT8_OID = 701;

type TestTable = {
  readonly names: readonly string[];
  readonly keys: readonly string[];
  readonly identity: string;
  readonly oids?: readonly number[];
};

/** The row that `message` means in a table, and its encoder. */
function rowOf({ names, keys, identity, oids }: TestTable, message: Buffer, primaryKey?: readonly string[]) {
  const columns = names.map((name, index) => ({ name, typeOid: oids?.[index] ?? 25, isKey: keys.includes(name) }));
  const decoder = new PgoutputDecoder({ epoch: toEpoch(1), handled: ZERO_LSN });
  const messages = [begin(1n), relation(TABLE, 'public', 't', columns, identity), message];
  const row = messages.map((each) => decoder.decode(each, 0, each.length)).at(-1) as RowEntry;
  const types = columns.map(({ typeOid }) => BUILT_IN_TYPES.get(typeOid) ?? TEXT);
  return { row, encoder: new RowEncoder(row.relation, types, primaryKey) };
}

function payloadOf(table: TestTable, message: Buffer): Record<string, unknown> {
  const { row, encoder } = rowOf(table, message);
  const out = new ByteWriter(0);
  encoder.writePayload(out, row, MIDDLE);
  return JSON.parse(Buffer.from(out.view(0)).toString());
}

function imagesOf(table: TestTable, message: Buffer, whole: boolean) {
  const { row, encoder } = rowOf(table, message);
  const out = new ByteWriter(0);
  encoder.writePayload(out, row, MIDDLE);
  const { newImage, oldImage } = encoder.images(out, whole);
  const read = (image: Uint8Array | null) => (image === null ? null : JSON.parse(Buffer.from(image).toString()));
  return { newImage: read(newImage), oldImage: read(oldImage) };
}

describe('the payload of a row', () => {
  const names = fc.uniqueArray(
    fc
      .string({ unit: 'grapheme', minLength: 1, maxLength: 8 })
      .filter((name) => !name.includes('\0') && name !== '__proto__'),
    { minLength: 1, maxLength: 6 },
  );
  const cell = fc.oneof(fc.string({ unit: 'grapheme', maxLength: 30 }), fc.constant(null), fc.constant(undefined));
  const cases = names.chain((columnNames) =>
    fc.record({
      names: fc.constant(columnNames),
      key: fc.constantFrom(...columnNames),
      after: fc.array(cell, { minLength: columnNames.length, maxLength: columnNames.length }),
      before: fc.array(
        cell.map((value) => value ?? null),
        { minLength: columnNames.length, maxLength: columnNames.length },
      ),
    }),
  );
  const pick = (columnNames: readonly string[], values: readonly TestValue[], only?: readonly string[]): object =>
    Object.fromEntries(
      columnNames
        .map((name, index) => [name, values[index]] as const)
        .filter(([name, value]) => value !== undefined && (only?.includes(name) ?? true)),
    );

  it('has what was sent as new, the key as old, and names what was not sent', () => {
    fc.assert(
      fc.property(cases, ({ names, key, after, before }) => {
        const table = { names, keys: [key], identity: 'd' };
        const unchanged = names.filter((_, index) => after[index] === undefined);
        const payload = payloadOf(table, update(TABLE, after));
        expect(payload).toMatchObject({
          schema: 'public',
          table: 't',
          new: pick(names, after),
          old: pick(names, after, [key]),
        });
        expect(payload.unchanged).toEqual(unchanged.length === 0 ? undefined : unchanged);
        expect(payloadOf(table, update(TABLE, after, before)).old).toEqual(pick(names, before, [key]));
        expect(payloadOf(table, remove(TABLE, before))).toMatchObject({ new: null, old: pick(names, before, [key]) });
      }),
    );
  });

  it('under the full identity has both rows whole', () => {
    fc.assert(
      fc.property(cases, ({ names, after, before }) => {
        const table = { names, keys: names, identity: 'f' };
        const payload = payloadOf(table, update(TABLE, after, before, 'O'));
        const whole = after.map((value, index) => (value === undefined ? before[index] : value));
        expect(payload.new).toEqual(pick(names, whole));
        expect(payload.old).toEqual(pick(names, before));
        expect(payload).not.toHaveProperty('unchanged');
        expect(payloadOf(table, remove(TABLE, before, 'O'))).toMatchObject({ new: null, old: pick(names, before) });
      }),
    );
  });

  it('without identity has no old row', () => {
    const table = { names: ['a'], keys: [], identity: 'n' };
    expect(payloadOf(table, insert(TABLE, ['1']))).toMatchObject({ new: { a: '1' }, old: null });
  });

  it('that was cut has the key alone, the primary key where the identity is the whole row', () => {
    const table = { names: ['id', 'body'], keys: ['id', 'body'], identity: 'f' };
    const { row, encoder } = rowOf(table, update(TABLE, ['2', 'x'], ['1', 'y'], 'O'), ['id']);
    const out = new ByteWriter(0);
    encoder.writeTruncated(out, row, MIDDLE);
    expect(JSON.parse(Buffer.from(out.view(0)).toString())).toMatchObject({
      new: { id: '2' },
      old: { id: '1' },
      truncated: true,
    });
  });
});

describe('the images of a row', () => {
  const table = { names: ['id', 'doc', 'n'], keys: ['id'], identity: 'd', oids: [25, JSON_OID, FLOAT8_OID] };

  it('hold the texts that the payload loses, SQL null and JSON null apart', () => {
    expect(imagesOf(table, insert(TABLE, ['1', ' null', '1.5']), false).newImage).toEqual({ doc: ' null' });
    expect(imagesOf(table, insert(TABLE, ['1', null, '-0']), false).newImage).toEqual({ doc: null, n: '-0' });
    expect(imagesOf(table, update(TABLE, ['1', undefined, '-5']), false).newImage).toBeNull();
  });

  it.each(['1e+20', '-1.5e-07', '2.2250738585072014e-308'])(
    'hold a float with an exponent, which jsonb writes out: %s',
    (text) => {
      expect(imagesOf(table, insert(TABLE, ['1', '1', text]), false).newImage).toEqual({ doc: '1', n: text });
    },
  );

  it.each(['0.0001', '123456789012345', 'NaN', '-Infinity', '1.5'])('hold no other float: %s', (text) => {
    expect(imagesOf(table, insert(TABLE, ['1', '1', text]), false).newImage).toEqual({ doc: '1' });
  });

  it('hold every column of a row that was cut', () => {
    expect(imagesOf(table, insert(TABLE, ['1', '{}', '2']), true).newImage).toEqual({ id: '1', doc: '{}', n: '2' });
  });

  it('leave out what history cannot hold, and keep the rest', () => {
    const huge = 'x'.repeat(33 * 1024 * 1024);
    expect(imagesOf(table, insert(TABLE, ['1', huge, '2']), true).newImage).toEqual({ id: '1', n: '2' });
  });
});

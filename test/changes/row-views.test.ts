// What of a row is written for those who may see some columns, or for whom it enters or leaves their view.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type ColumnMask, RowEncoder, type RowView } from '../../server/changes/row-encoder.ts';
import { toEpoch, ZERO_LSN } from '../../server/lib/position.ts';
import { ByteWriter } from '../../server/protocol/byte-writer.ts';
import { TEXT } from '../../server/protocol/value-type.ts';
import { PgoutputDecoder } from '../../server/replication/pgoutput-decoder.ts';
import type { RowEntry } from '../../server/replication/wal-entry.ts';
import { begin, relation, type TestValue, update } from '../replication/pgoutput-messages.ts';

const TABLE = 16_400;
const NAMES = ['id', 'a', 'b', 'c'];

type Given = {
  readonly identity: 'f' | 'd';
  readonly after: readonly TestValue[];
  readonly before?: readonly TestValue[];
};

function rowOf({ identity, after, before }: Given, key: readonly string[]): { row: RowEntry; encoder: RowEncoder } {
  const columns = NAMES.map((name) => ({ name, typeOid: 25, isKey: identity === 'd' && key.includes(name) }));
  const decoder = new PgoutputDecoder({ epoch: toEpoch(1), handled: ZERO_LSN });
  const message = update(TABLE, after, before, identity === 'f' ? 'O' : 'K');
  const messages = [begin(1n), relation(TABLE, 'public', 't', columns, identity), message];
  const row = messages.map((each) => decoder.decode(each, 0, each.length)).at(-1) as RowEntry;
  return {
    row,
    encoder: new RowEncoder(
      row.relation,
      columns.map(() => TEXT),
      identity === 'f' ? key : undefined,
    ),
  };
}

type Wanted = { readonly view: RowView; readonly granted?: readonly string[]; readonly wanted?: readonly string[] };

function payloadOf(
  given: Given,
  { view, granted, wanted }: Wanted,
  key: readonly string[] = ['id'],
): Record<string, unknown> {
  const { row, encoder } = rowOf(given, key);
  const mask: ColumnMask = encoder.mask(
    row.relation,
    granted ? new Set(granted) : null,
    wanted ? new Set(wanted) : null,
  );
  const out = new ByteWriter(0);
  if (view === 'same') encoder.writePayload(out, row, '', mask);
  else if (view === 'enter') encoder.writeEnter(out, row, '', mask);
  else encoder.writeLeave(out, row, '', mask);
  const { schema: _, table: __, ...payload } = JSON.parse(Buffer.from(out.view(0)).toString());
  return payload;
}

describe('a row seen in part', () => {
  const full: Given = { identity: 'f', after: ['1', 'a', undefined, 'c'], before: ['1', 'x', 'y', 'z'] };
  const keyed: Given = { identity: 'd', after: ['1', 'a', undefined, 'c'] };

  it('has the granted columns alone, in new, old and what was not sent', () => {
    expect(payloadOf(full, { view: 'same', granted: ['id', 'b'] })).toEqual({
      new: { id: '1', b: 'y' },
      old: { id: '1', b: 'y' },
    });
    expect(payloadOf(keyed, { view: 'same', granted: ['id', 'b'] })).toEqual({
      new: { id: '1' },
      old: { id: '1' },
      unchanged: ['b'],
    });
    expect(payloadOf(keyed, { view: 'same', granted: ['c'] })).toEqual({ new: { c: 'c' }, old: {} });
  });

  it('has the wanted columns and the key, as far as they are granted', () => {
    expect(payloadOf(full, { view: 'same', wanted: ['c'] })).toEqual({
      new: { id: '1', c: 'c' },
      old: { id: '1', c: 'z' },
    });
    expect(payloadOf(full, { view: 'same', wanted: ['c', 'a'], granted: ['c', 'b'] })).toEqual({
      new: { c: 'c' },
      old: { c: 'z' },
    });
  });

  it('that enters has its new image and no old one', () => {
    expect(payloadOf(full, { view: 'enter' })).toEqual({
      new: { id: '1', a: 'a', b: 'y', c: 'c' },
      old: null,
      cause: 'UPDATE',
    });
    expect(payloadOf(keyed, { view: 'enter', wanted: ['b'] })).toEqual({
      new: { id: '1' },
      old: null,
      unchanged: ['b'],
      cause: 'UPDATE',
    });
  });

  it('that leaves has the key of its old image, or without a key what was seen of it', () => {
    const moved: Given = { ...full, after: ['2', 'a', 'b', 'c'] };
    expect(payloadOf(moved, { view: 'leave' })).toEqual({ new: null, old: { id: '1' }, cause: 'UPDATE' });
    expect(payloadOf(full, { view: 'leave', granted: ['a'] }, [])).toEqual({
      new: null,
      old: { a: 'x' },
      cause: 'UPDATE',
    });
    expect(payloadOf(full, { view: 'leave', granted: ['a'] })).toEqual({ new: null, old: {}, cause: 'UPDATE' });
  });

  it('never holds a column that is not granted, whatever is wanted', () => {
    const subset = fc.subarray(NAMES);
    const cell = fc.option(fc.string({ maxLength: 4 }), { nil: null });
    const image = fc.array(cell, { minLength: 4, maxLength: 4 });
    fc.assert(
      fc.property(
        subset,
        subset,
        fc.constantFrom<RowView>('same', 'enter', 'leave'),
        image,
        image,
        subset,
        (granted, wanted, view, after, before, key) => {
          const payload = payloadOf({ identity: 'f', after, before }, { view, granted, wanted }, key);
          for (const part of [payload.new, payload.old]) {
            for (const name of Object.keys(part ?? {})) expect(granted).toContain(name);
          }
        },
      ),
    );
  });
});

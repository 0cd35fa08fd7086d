// The exact texts of images, as policies are asked about them.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MAX_JUDGED_TEXT_BYTES, RowImages, type Side } from '../../server/changes/row-image.ts';
import { toEpoch, ZERO_LSN } from '../../server/lib/position.ts';
import { PgoutputDecoder } from '../../server/replication/pgoutput-decoder.ts';
import type { RowEntry } from '../../server/replication/wal-entry.ts';
import { begin, insert, relation, remove, type TestValue, update } from '../replication/pgoutput-messages.ts';

const TABLE = 16_400;
const NAMES = ['id', 'a', 'b'];

function entriesOf(identity: 'f' | 'd', ...messages: Buffer[]): RowEntry[] {
  const columns = NAMES.map((name, index) => ({ name, typeOid: 25, isKey: identity === 'd' && index === 0 }));
  const decoder = new PgoutputDecoder({ epoch: toEpoch(1), handled: ZERO_LSN });
  const all = [begin(1n), relation(TABLE, 'public', 't', columns, identity), ...messages];
  return all.map((each) => decoder.decode(each, 0, each.length)).slice(2) as RowEntry[];
}

function imagesOf(entries: readonly RowEntry[], ...sides: Side[]) {
  const images = new RowImages((entries[0] as RowEntry).relation);
  const places = entries.flatMap((entry) => sides.map((side) => images.add(entry, side)));
  return { images, places };
}

const ALL = new Set(NAMES);

describe('the images of rows', () => {
  it('with the same columns are one set, in order', () => {
    const entries = entriesOf(
      'd',
      insert(TABLE, ['1', 'x', null]),
      update(TABLE, ['2', undefined, 'y']),
      insert(TABLE, ['3', '', 'z']),
    );
    const { images, places } = imagesOf(entries, 'new');
    expect(images.sets.map(({ places: columns }) => columns)).toEqual([
      ['id', 'a', 'b'],
      ['id', null, 'b'],
    ]);
    expect(places.map((place) => [images.sets.indexOf(place?.set as never), place?.index])).toEqual([
      [0, 0],
      [1, 0],
      [0, 1],
    ]);
    expect(images.sets.map((set) => set.literals(ALL))).toEqual([
      ['{"1","x",NULL}', '{"3","","z"}'],
      ['{"2",NULL,"y"}'],
    ]);
  });

  it('of the key alone have its columns and no others', () => {
    const { images } = imagesOf(entriesOf('d', remove(TABLE, ['1', null, null])), 'old');
    expect(images.sets[0]?.places).toEqual(['id', null, null]);
  });

  it('take a value that was not sent again from the old row, where that is whole', () => {
    const entries = entriesOf('f', update(TABLE, ['1', undefined, 'new'], ['1', 'kept', 'old'], 'O'));
    const { images } = imagesOf(entries, 'new', 'old');
    expect(images.sets).toHaveLength(1);
    expect(images.sets[0]?.literals(ALL)).toEqual(['{"1","kept","new"}', '{"1","kept","old"}']);
  });

  it('are missing where the stream has none', () => {
    const { places } = imagesOf(entriesOf('d', update(TABLE, ['1', 'a', 'b'])), 'old');
    expect(places).toEqual([undefined]);
  });

  it('leave out what is not needed', () => {
    const { images } = imagesOf(entriesOf('d', insert(TABLE, ['1', 'x', 'y'])), 'new');
    expect(images.sets[0]?.literals(new Set(['b']))).toEqual(['{NULL,NULL,"y"}']);
  });

  it('leave out a text that is too large to be judged, and say so', () => {
    const large = 'x'.repeat(MAX_JUDGED_TEXT_BYTES + 1);
    const inserted = entriesOf('d', insert(TABLE, ['1', large, 'b']), insert(TABLE, ['2', 'a', 'b']));
    const updated = entriesOf('f', update(TABLE, ['1', undefined, 'b'], ['1', large, 'b'], 'O'));
    const { images } = imagesOf(inserted, 'new');
    expect(images.sets.map(({ places, isCut }) => [places, isCut])).toEqual([
      [['id', null, 'b'], true],
      [['id', 'a', 'b'], false],
    ]);
    expect(imagesOf(updated, 'new', 'old').images.sets.map(({ isCut }) => isCut)).toEqual([true]);
  });

  it('give back every text through the array literal', () => {
    const cell = fc.oneof(
      fc.string({ unit: 'grapheme', maxLength: 20 }),
      fc.constantFrom('NULL', '"', '\\', '{}', ','),
      fc.constant(null),
    );
    fc.assert(
      fc.property(fc.array(cell, { minLength: 3, maxLength: 3 }), (values: TestValue[]) => {
        const { images } = imagesOf(entriesOf('d', insert(TABLE, values)), 'new');
        expect(readLiteral(images.sets[0]?.literals(ALL)[0] ?? '')).toEqual(values);
      }),
    );
  });
});

/** Reads a one-dimensional array whose texts are all quoted, as Postgres does. */
function readLiteral(literal: string): (string | null)[] {
  const items = literal.slice(1, -1).match(/"(?:[^"\\]|\\[\s\S])*"|NULL/gu) ?? [];
  return items.map((item) => (item === 'NULL' ? null : item.slice(1, -1).replaceAll(/\\([\s\S])/gu, '$1')));
}

// The text of a value comes back from its JSON, and no text is taken for a value of a type that cannot have it: what is
// taken is written as JSON, whatever stands around it.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isTextOf, textOfJson } from '../../server/changes/stored-text.ts';
import { ByteWriter } from '../../server/protocol/byte-writer.ts';
import { writeValue } from '../../server/protocol/value-encoder.ts';
import type { ValueType } from '../../server/protocol/value-type.ts';

const scalars = (['text', 'bool', 'integer', 'decimal', 'float', 'json', 'timestamp', 'timestamptz'] as const).map(
  (kind) => ({ kind }),
);
const { type: types } = fc.letrec<{ type: ValueType }>((tie) => ({
  type: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.constantFrom<ValueType>(...scalars),
    tie('type').map((element): ValueType => ({ kind: 'array', element, delimiter: 0x2c })),
    fc.constantFrom<ValueType>(
      { kind: 'vector', element: { kind: 'integer' } },
      { kind: 'vector', element: { kind: 'text' } },
    ),
    fc.array(tie('type'), { maxLength: 3 }).map(
      (parts): ValueType => ({
        kind: 'composite',
        fields: parts.map((type, index) => ({ name: `f${index}`, type })),
      }),
    ),
  ),
}));
/** Texts that look like values of some type, and are of none or of another. */
const texts = fc.oneof(
  fc.string({ unit: fc.constantFrom(...'{}[](),"\\= :.-+etf019NULn') }),
  fc.constantFrom(
    't',
    '1',
    '-1.5',
    '1e+20',
    'NaN',
    'Infinity',
    '2024-01-15 10:30:00',
    '2024-01-15 10:30:00+00',
    '[1,2]',
    '{}',
    '(1,2)',
    '{"a,b"}',
    '[0:1]={1,2}',
    '"\\ud800"',
  ),
  fc.json(),
  fc.string({ unit: 'grapheme' }),
);

function written(text: string, type: ValueType, around = ''): string {
  const [before, value] = [Buffer.from(around), Buffer.from(text)];
  const source = Buffer.concat([before, value, Buffer.from(around)]);
  const out = new ByteWriter(16);
  writeValue(out, type, source, before.length, before.length + value.length);
  return Buffer.from(out.view(0)).toString();
}

describe('a text', () => {
  it('that is taken for a value is written as JSON, the same wherever it stands', () => {
    const around = fc.constantFrom('', '={1}', '"', '}', '{"x":', ' ');
    fc.assert(
      fc.property(texts, types, around, (text, type, neighbour) => {
        if (!isTextOf(text, type)) return;
        const json = written(text, type);
        expect(() => JSON.parse(json)).not.toThrow();
        expect(written(text, type, neighbour)).toBe(json);
      }),
      { numRuns: 3_000 },
    );
  });

  const VALUES: readonly (readonly [ValueType['kind'], fc.Arbitrary<string>])[] = [
    ['text', fc.string({ unit: 'grapheme' })],
    ['text', fc.constantFrom('2024-01-15T10:30:00Z', 'true', 'null', '1', '{"a":1}', '')],
    ['bool', fc.constantFrom('t', 'f')],
    ['integer', fc.integer().map(String)],
    [
      'decimal',
      fc.oneof(
        fc.bigInt().map(String),
        fc.stringMatching(/^-?\d{1,20}\.\d{1,20}$/),
        fc.constantFrom('NaN', '-Infinity'),
      ),
    ],
    ['float', fc.oneof(fc.stringMatching(/^-?\d\.\d{1,9}$/), fc.constantFrom('NaN', 'Infinity', '1e+20', '5e-324'))],
    [
      'timestamp',
      fc.constantFrom(
        '2024-01-15 10:30:00',
        '0044-03-15 10:30:00.000001 BC',
        'infinity',
        '-infinity',
        '294276-12-31 23:59:59',
      ),
    ],
    [
      'timestamptz',
      fc.constantFrom('2024-01-15 10:30:00+00', '0044-03-15 10:30:00.5+00 BC', 'infinity', '294276-12-31 23:59:59+00'),
    ],
  ];

  it.each(VALUES)('of kind %s comes back from its JSON', (kind, values) => {
    const type = { kind } as ValueType;
    fc.assert(fc.property(values, (text) => textOfJson(written(text, type), type) === text));
  });
});

import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { ByteWriter } from '../../server/protocol/byte-writer.ts';
import { writeValue } from '../../server/protocol/value-encoder.ts';
import { BUILT_IN_TYPES, TEXT, type ValueType } from '../../server/protocol/value-type.ts';

function written(type: ValueType, text: string): string {
  const out = new ByteWriter(0);
  const source = Buffer.from(`{"${text}","`); // neighbours that a reader must not run into
  writeValue(out, type, source, 2, source.length - 3);
  return Buffer.from(out.view(0)).toString();
}

const builtIn = (oid: number): ValueType => BUILT_IN_TYPES.get(oid) ?? TEXT;
const int4 = builtIn(23);
const decimal = builtIn(1700);
const float = builtIn(701);
const timestamp = builtIn(1114);
const timestamptz = builtIn(1184);
const arrayOf = (element: ValueType, delimiter = ','): ValueType => ({
  kind: 'array',
  element,
  delimiter: delimiter.charCodeAt(0),
});

/** How PostgreSQL prints an element of an array (arrayfuncs.c, array_out). */
function arrayElement(text: string): string {
  const isPlain = text !== '' && !/[\s{},"\\]/.test(text) && text.toUpperCase() !== 'NULL';
  return isPlain ? text : `"${text.replace(/[\\"]/g, '\\$&')}"`;
}

/** How PostgreSQL prints a field of a row (rowtypes.c, record_out). */
function rowField(text: string): string {
  const isPlain = text !== '' && !/[\s(),"\\]/.test(text);
  return isPlain ? text : `"${text.replace(/[\\"]/g, '$&$&')}"`;
}

const hostile = fc.oneof(
  fc.string({ unit: fc.constantFrom('"', '\\', ',', '{', '}', '(', ')', ' ', 'a', 'é', '\n', '😀'), maxLength: 12 }),
  fc.constantFrom('', 'NULL', 'null', 'Null', ' ', '\\', '"', '{}', '()'),
);
const nullable = fc.option(hostile, { nil: null });

describe('the JSON of a decimal', () => {
  it.each([
    ['0', '0'],
    ['-0.00', '-0.00'],
    ['123456789012345', '123456789012345'],
    ['-123456789012345', '-123456789012345'],
    ['1234567890123456', '"1234567890123456"'],
    ['9007199254740993', '"9007199254740993"'],
    ['12345678901234.5', '12345678901234.5'],
    ['12345678901234.56', '"12345678901234.56"'],
    ['0.000000000000000123456789012345', '0.000000000000000123456789012345'],
    ['0.0000000000000001234567890123456', '"0.0000000000000001234567890123456"'],
    ['100000000000000000000', '"100000000000000000000"'],
    ['NaN', '"NaN"'],
    ['Infinity', '"Infinity"'],
    ['-Infinity', '"-Infinity"'],
  ])('%s is %s', (text, json) => {
    expect(written(decimal, text)).toBe(json);
  });

  it('is a number exactly if a double holds its digits', () => {
    const texts = fc.tuple(fc.bigInt({ min: -(10n ** 20n), max: 10n ** 20n }), fc.stringMatching(/^(\.\d{1,8})?$/));
    fc.assert(
      fc.property(texts, ([whole, fraction]) => {
        const text = `${whole}${fraction}`;
        const digits = text.replace(/[-.]/g, '').replace(/^0+/, '').length;
        expect(written(decimal, text)).toBe(digits <= 15 ? text : `"${text}"`);
      }),
    );
  });
});

describe('the JSON of a float', () => {
  it.each([
    ['1e+20', '1e+20'],
    ['-1.5e-300', '-1.5e-300'],
    ['0.30000000000000004', '0.30000000000000004'],
    ['-0', '-0'],
    ['NaN', '"NaN"'],
    ['Infinity', '"Infinity"'],
    ['-Infinity', '"-Infinity"'],
  ])('%s is %s', (text, json) => {
    expect(written(float, text)).toBe(json);
  });
});

describe('the JSON of a time', () => {
  it.each([
    [timestamptz, '2024-01-15 10:30:00+00', '"2024-01-15T10:30:00Z"'],
    [timestamptz, '2024-01-15 10:30:00.123456+00', '"2024-01-15T10:30:00.123456Z"'],
    [timestamptz, '0044-03-15 00:00:00+00 BC', '"0044-03-15T00:00:00Z BC"'],
    [timestamptz, 'infinity', '"infinity"'],
    [timestamptz, '-infinity', '"-infinity"'],
    [timestamp, '2024-01-15 10:30:00', '"2024-01-15T10:30:00"'],
    [timestamp, '0044-03-15 00:00:00.5 BC', '"0044-03-15T00:00:00.5 BC"'],
    [timestamp, 'infinity', '"infinity"'],
    [timestamp, '294276-12-31 23:59:59.999999', '"294276-12-31T23:59:59.999999"'],
  ] as const)('as %o: %s is %s', (type, text, json) => {
    expect(written(type, text)).toBe(json);
  });
});

describe('the JSON of an array', () => {
  it.each([
    [int4, '{}', '[]'],
    [int4, '{1,NULL,-3}', '[1,null,-3]'],
    [int4, '{{1,2},{3,4}}', '[[1,2],[3,4]]'],
    [int4, '[0:1]={1,2}', '[1,2]'],
    [int4, '[-1:0][2:3]={{1,2},{3,4}}', '[[1,2],[3,4]]'],
    [TEXT, '{NULL,"NULL",null}', '[null,"NULL","null"]'],
    [TEXT, '{"",a}', '["","a"]'],
    [builtIn(16), '{t,f,NULL}', '[true,false,null]'],
    [builtIn(114), '{"{\\"a\\": [1]}","null",NULL}', '[{"a": [1]},null,null]'],
    [timestamptz, '{"2024-01-15 10:30:00+00"}', '["2024-01-15T10:30:00Z"]'],
  ] as const)('of %o: %s is %s', (element, text, json) => {
    expect(written(arrayOf(element), text)).toBe(json);
  });

  it('of boxes is delimited by semicolons', () => {
    expect(written(builtIn(1020), '{(1,1),(0,0);(2,2),(1,1)}')).toBe('["(1,1),(0,0)","(2,2),(1,1)"]');
  });

  it('gives back any texts, quoted or not', () => {
    fc.assert(
      fc.property(fc.array(nullable, { maxLength: 8 }), (texts) => {
        const printed = `{${texts.map((text) => (text === null ? 'NULL' : arrayElement(text))).join(',')}}`;
        expect(JSON.parse(written(arrayOf(TEXT), printed))).toEqual(texts);
      }),
      { numRuns: 500 },
    );
  });

  it('gives back any texts in two dimensions', () => {
    const rows = fc
      .nat(3)
      .chain((width) =>
        fc.array(fc.array(nullable, { minLength: width, maxLength: width }), { minLength: 1, maxLength: 4 }),
      );
    fc.assert(
      fc.property(rows, (matrix) => {
        fc.pre((matrix[0] as unknown[]).length > 0);
        const row = (texts: (string | null)[]): string =>
          `{${texts.map((text) => (text === null ? 'NULL' : arrayElement(text))).join(',')}}`;
        expect(JSON.parse(written(arrayOf(TEXT), `{${matrix.map(row).join(',')}}`))).toEqual(matrix);
      }),
    );
  });

  it('of many quoted elements costs memory in proportion to its length', () => {
    const texts = Array.from({ length: 5_000 }, (_, index) => `element "${index}"`);
    const printed = `{${texts.map(arrayElement).join(',')}}`;
    let allocatedBytes = 0;
    const counting = new Proxy(Uint8Array, {
      construct: (target, args, newTarget) => {
        if (typeof args[0] === 'number') allocatedBytes += args[0];
        return Reflect.construct(target, args, newTarget);
      },
    });
    vi.stubGlobal('Uint8Array', counting);
    const json = written(arrayOf(TEXT), printed);
    vi.unstubAllGlobals();
    expect(JSON.parse(json)).toEqual(texts);
    expect(allocatedBytes).toBeLessThan(printed.length * 20);
  });
});

describe('the JSON of a vector', () => {
  it.each([
    ['', '[]'],
    ['1', '[1]'],
    ['1 2 -3', '[1,2,-3]'],
  ])('%j is %s', (text, json) => {
    expect(written(builtIn(22), text)).toBe(json);
  });
});

describe('the JSON of a composite', () => {
  const fields = ['a', 'b', 'c "quoted"'];
  const row: ValueType = { kind: 'composite', fields: fields.map((name) => ({ name, type: TEXT })) };

  it('gives back any texts, null and empty apart', () => {
    fc.assert(
      fc.property(fc.tuple(nullable, nullable, nullable), (texts) => {
        const printed = `(${texts.map((text) => (text === null ? '' : rowField(text))).join(',')})`;
        const expected = Object.fromEntries(fields.map((name, index) => [name, texts[index]]));
        expect(JSON.parse(written(row, printed))).toEqual(expected);
      }),
      { numRuns: 500 },
    );
  });

  it('without fields is an empty object', () => {
    expect(written({ kind: 'composite', fields: [] }, '()')).toBe('{}');
  });

  it.each(['()', '(1)', '(1,2)', '(1,2,3,4)', '(1,2,3,)', '(,"")'])(
    'of another number of fields than its type has is its text: %s',
    (text) => {
      expect(JSON.parse(written(row, text))).toBe(text);
    },
  );

  it('nested in arrays and in itself is read level by level', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(nullable, nullable, nullable), { maxLength: 3 }), (rows) => {
        const outer: ValueType = {
          kind: 'composite',
          fields: [
            { name: 'n', type: int4 },
            { name: 'rows', type: arrayOf(row) },
          ],
        };
        const inner = rows.map((texts) => `(${texts.map((text) => (text === null ? '' : rowField(text))).join(',')})`);
        const printed = `(7,${rowField(`{${inner.map(arrayElement).join(',')}}`)})`;
        const expected = rows.map((texts) => Object.fromEntries(fields.map((name, index) => [name, texts[index]])));
        expect(JSON.parse(written(outer, printed))).toEqual({ n: 7, rows: expected });
      }),
    );
  });
});

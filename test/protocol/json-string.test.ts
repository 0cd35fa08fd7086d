import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ByteWriter } from '../../server/protocol/byte-writer.ts';
import { writeJsonString } from '../../server/protocol/json-string.ts';

function escaped(text: string): string {
  const out = new ByteWriter(0);
  const source = Buffer.from(`before${text}after`);
  writeJsonString(out, source, 6, source.length - 5);
  return Buffer.from(out.view(0)).toString();
}

/** Lone surrogates have no UTF-8 form, so they cannot come from a database. */
const texts = fc.string({ unit: 'binary', maxLength: 400 }).filter((text) => text.isWellFormed());

describe('a JSON string', () => {
  it('is what JSON.stringify writes', () => {
    fc.assert(
      fc.property(texts, (text) => void expect(escaped(text)).toBe(JSON.stringify(text))),
      { numRuns: 500 },
    );
  });

  it('is so for long texts with many and few escapes', () => {
    const units = fc.constantFrom('a', '"', '\\', '\n', '\u0001', 'é', '😀', '\u007f', '\u2028');
    fc.assert(
      fc.property(fc.array(units, { minLength: 90, maxLength: 300 }), (parts) => {
        expect(escaped(parts.join(''))).toBe(JSON.stringify(parts.join('')));
      }),
    );
  });

  it('escapes every control character as JSON.stringify does', () => {
    const controls = Array.from({ length: 0x20 }, (_, code) => String.fromCharCode(code)).join('');
    expect(escaped(controls)).toBe(JSON.stringify(controls));
  });
});

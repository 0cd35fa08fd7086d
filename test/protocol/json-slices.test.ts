import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { itemTexts, memberTexts } from '../../server/protocol/json-slices.ts';

const indents = fc.constantFrom(undefined, 1, '\t', '\r\n');

describe('memberTexts', () => {
  it('cuts any object into texts that parse to its members', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), indents, (object, indent) => {
        const text = JSON.stringify(object, null, indent);
        const parsed = Object.fromEntries([...memberTexts(text)].map(([name, part]) => [name, JSON.parse(part)]));
        expect(parsed).toEqual(JSON.parse(text));
      }),
    );
  });

  it('keeps numbers and spaces of a member as they stand', () => {
    const members = memberTexts(' {"a" : 12345678901234567890.10 , "b":{"c": [1e400, "}\\"" ] }\n} ');
    expect([...members]).toEqual([
      ['a', '12345678901234567890.10'],
      ['b', '{"c": [1e400, "}\\"" ] }'],
    ]);
  });

  it('takes the last of equal names', () => {
    expect(memberTexts('{"a":1,"\\u0061":2}').get('a')).toBe('2');
  });

  it('keeps a member named __proto__', () => {
    expect([...memberTexts('{"__proto__":{"x":1}}')]).toEqual([['__proto__', '{"x":1}']]);
  });
});

describe('itemTexts', () => {
  it('cuts any array into texts that parse to its items', () => {
    fc.assert(
      fc.property(fc.array(fc.jsonValue()), indents, (array, indent) => {
        const text = JSON.stringify(array, null, indent);
        expect(itemTexts(text).map((part) => JSON.parse(part))).toEqual(JSON.parse(text));
      }),
    );
  });
});

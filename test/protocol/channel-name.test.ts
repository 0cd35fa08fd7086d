import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  canonicalTableChannel,
  type ParsedChannel,
  parseChannelName,
  type TableName,
} from '../../server/protocol/channel-name.ts';

function channel(text: string, schema?: string): ParsedChannel {
  const result = parseChannelName(text, schema);
  if (!result.ok) throw new Error(`${text}: ${result.refusal.message}`);
  return result.channel;
}

function refusal(text: string, schema?: string): string {
  const result = parseChannelName(text, schema);
  return result.ok ? 'accepted' : result.refusal.code;
}

function table(text: string, schema?: string): TableName {
  const parsed = channel(text, schema);
  if (parsed.kind !== 'table') throw new Error(`${text} is no table channel`);
  return parsed.table;
}

const quoted = (identifier: string): string => `"${identifier.replaceAll('"', '""')}"`;
/** Anything that PostgreSQL takes as a name: no zero byte, not empty. */
const identifiers = fc
  .oneof(
    fc.stringMatching(/^[a-z_][a-z0-9_$]{0,20}$/),
    fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 }),
    fc.constantFrom('Order Items', 'a.b', '"', '""', 'a"b', '*', 'öl', 'select', 'Posts', '1a', ' '),
  )
  .filter((name) => name.length > 0 && !name.includes('\0') && name.length <= 40);

describe('a table channel', () => {
  it.each([
    ['db:posts', undefined, { schema: 'public', table: 'posts' }, 'db:posts'],
    ['db:public.posts', undefined, { schema: 'public', table: 'posts' }, 'db:posts'],
    ['db:posts', 'audit', { schema: 'audit', table: 'posts' }, 'db:audit.posts'],
    ['db:audit.posts', 'audit', { schema: 'audit', table: 'posts' }, 'db:audit.posts'],
    ['db:audit."Order Items"', undefined, { schema: 'audit', table: 'Order Items' }, 'db:audit."Order Items"'],
    ['db:"Order Items"', 'audit', { schema: 'audit', table: 'Order Items' }, 'db:audit."Order Items"'],
    ['db:"posts"', undefined, { schema: 'public', table: 'posts' }, 'db:posts'],
    ['db:Posts', undefined, { schema: 'public', table: 'Posts' }, 'db:"Posts"'],
    ['db:"a""b"."c.d"', undefined, { schema: 'a"b', table: 'c.d' }, 'db:"a""b"."c.d"'],
    ['db:"a*b"', undefined, { schema: 'public', table: 'a*b' }, 'db:"a*b"'],
    ['db:öl', undefined, { schema: 'public', table: 'öl' }, 'db:"öl"'],
  ])('%s with schema %s', (text, schema, expected, canonical) => {
    expect(table(text, schema)).toEqual(expected);
    expect(channel(text, schema)).toMatchObject({ name: text, canonical });
  });

  it('keeps the spelling of the client, whatever the canonical one is', () => {
    expect(channel('db:public."posts"')).toMatchObject({ name: 'db:public."posts"', canonical: 'db:posts' });
  });

  it.each([
    ['db:', 'bad_name'],
    ['db:.', 'bad_name'],
    ['db:a.', 'bad_name'],
    ['db:.a', 'bad_name'],
    ['db:a.b.c', 'bad_name'],
    ['db:""', 'bad_name'],
    ['db:"a', 'bad_name'],
    ['db:a"', 'bad_name'],
    ['db:Order Items', 'bad_name'],
    ['db:1a', 'bad_name'],
    ['db:posts\n', 'bad_name'],
    ['db:"a\0b"', 'bad_name'],
    ['db:*', 'wildcard_not_supported'],
    ['db:post%', 'wildcard_not_supported'],
    ['db:*.posts', 'wildcard_not_supported'],
    ['db:"a".*', 'wildcard_not_supported'],
  ])('is not %j: %s', (text, code) => {
    expect(refusal(text)).toBe(code);
  });

  it('is refused where name and filter.schema are at odds, or the schema cannot exist', () => {
    expect(refusal('db:audit.posts', 'public')).toBe('bad_name');
    expect(refusal('db:posts', 'a\0b')).toBe('bad_name');
  });

  it('has one canonical form, which means the same table again', () => {
    fc.assert(
      fc.property(identifiers, identifiers, (schema, name) => {
        const expected = { schema, table: name };
        const canonical = canonicalTableChannel(expected);
        const spellings = [canonical, `db:${quoted(schema)}.${quoted(name)}`].filter(({ length }) => length <= 200);
        for (const spelling of spellings) {
          expect(table(spelling)).toEqual(expected);
          expect(channel(spelling).canonical).toBe(canonical);
        }
        expect(channel(`db:${quoted(name)}`, schema).canonical).toBe(canonical);
      }),
    );
  });

  it('differs for different tables', () => {
    fc.assert(
      fc.property(identifiers, identifiers, identifiers, identifiers, (s1, t1, s2, t2) => {
        fc.pre(s1 !== s2 || t1 !== t2);
        expect(canonicalTableChannel({ schema: s1, table: t1 })).not.toBe(
          canonicalTableChannel({ schema: s2, table: t2 }),
        );
      }),
    );
  });
});

describe('a channel for messages', () => {
  it.each(['order:42', 'room/7', 'a', 'user:a@b.c', 'x=1,2;#3', 'chat-1_2.3', 'größe:ß', '部屋:1', 'DB:posts'])(
    'may be %s, and is its own canonical name',
    (text) => {
      expect(channel(text)).toMatchObject({ kind: 'topic', name: text, canonical: text });
    },
  );

  it.each(['', 'a b', 'a\n', 'a"b', 'a\0', 'a\\b', '<b>', 'a?', '\u202e', '😀'])('is not %j', (text) => {
    expect(refusal(text)).toBe('bad_name');
  });

  it.each(['order:*', '*', 'order:%'])('is no pattern such as %s', (text) => {
    expect(refusal(text)).toBe('wildcard_not_supported');
  });

  it('has at most 200 characters, counted as people do', () => {
    expect(refusal('a'.repeat(200))).toBe('accepted');
    expect(refusal('a'.repeat(201))).toBe('bad_name');
    expect(refusal('𝒜'.repeat(200))).toBe('accepted');
    expect(refusal('𝒜'.repeat(201))).toBe('bad_name');
  });
});

it('any text is a channel or a refusal, never an exception', () => {
  const texts = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 260 }),
    fc.string({ unit: fc.constantFrom('"', '.', '*', 'a', ' ', ':'), maxLength: 60 }).map((text) => `db:${text}`),
  );
  fc.assert(
    fc.property(texts, fc.option(fc.string(), { nil: undefined }), (text, schema) => {
      const result = parseChannelName(text, schema);
      if (result.ok) expect(result.channel.name).toBe(text);
      else expect(['bad_name', 'wildcard_not_supported']).toContain(result.refusal.code);
    }),
  );
});

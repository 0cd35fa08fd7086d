// Owns the grammar of concrete channel names: what may be subscribed, which names are reserved, and how a
// `db:` name and `filter.schema` give one table. Patterns and their matching belong to the channels room.

import type { Brand } from '../lib/brand.ts';
import type { Refusal } from './error-codes.ts';

/** A concrete channel name as a client spelled it. */
export type ChannelName = Brand<string, 'ChannelName'>;
/** The one spelling under which hub, history and webhooks know a channel: `db:posts` for public, else `db:schema.table`. */
export type CanonicalChannel = Brand<string, 'CanonicalChannel'>;

export type TableName = { readonly schema: string; readonly table: string };

export type ParsedChannel =
  | { readonly kind: 'topic'; readonly name: ChannelName; readonly canonical: CanonicalChannel }
  | {
      readonly kind: 'table';
      readonly name: ChannelName;
      readonly canonical: CanonicalChannel;
      readonly table: TableName;
    };

export type ChannelNameResult =
  | { readonly ok: true; readonly channel: ParsedChannel }
  | { readonly ok: false; readonly refusal: Refusal };

const MAX_LENGTH = 200;
const TOPIC = /^[\p{L}\p{N}_\-.:/@=,;#]+$/u;
const PLAIN_IDENTIFIER = /^[\p{L}_][\p{L}\p{N}_$]*$/u;
const UNQUOTED_IDENTIFIER = /^[a-z_][a-z0-9_$]*$/;
const IDENTIFIER_PARTS = /^(?:("(?:[^"]|"")+"|[^".]+)\.)?("(?:[^"]|"")+"|[^".]+)$/u;
const DEFAULT_SCHEMA = 'public';

/**
 * Reads the concrete name of a subscription or publication.
 * `schema` is `filter.schema`; at odds with a schema in the name it is refused as `bad_name`.
 */
export function parseChannelName(text: string, schema?: string): ChannelNameResult {
  if (text === '' || isTooLong(text)) return badName(`a channel name has 1 to ${MAX_LENGTH} characters`);
  if (text.startsWith('db:')) return parseTableChannel(text, schema);
  if (hasWildcard(text)) return wildcard();
  if (!TOPIC.test(text)) return badName('a channel name holds letters, digits and _ - . : / @ = , ; # only');
  const name = text as ChannelName;
  return { ok: true, channel: { kind: 'topic', name, canonical: text as CanonicalChannel } };
}

/** `db:posts` for schema public, else `db:schema.table`; identifiers quoted where SQL would need it. */
export function canonicalTableChannel(table: TableName): CanonicalChannel {
  return `db:${canonicalTable(table)}` as CanonicalChannel;
}

/** The table part of the canonical channel: `posts`, `audit."Order Items"`. */
export function canonicalTable({ schema, table }: TableName): string {
  return schema === DEFAULT_SCHEMA ? quoteWhereNeeded(table) : `${quoteWhereNeeded(schema)}.${quoteWhereNeeded(table)}`;
}

function parseTableChannel(text: string, schema: string | undefined): ChannelNameResult {
  const parts = IDENTIFIER_PARTS.exec(text.slice(3));
  if (!parts) return hasWildcard(text) ? wildcard() : badName('a table channel is db:table or db:schema.table');
  const named = parts[1] === undefined ? undefined : unquote(parts[1]);
  const table = unquote(parts[2] as string);
  if (table === undefined || (parts[1] !== undefined && named === undefined)) {
    return hasWildcard(text) ? wildcard() : badName('quote identifiers that are not plain letters, digits and _');
  }
  if (named !== undefined && schema !== undefined && named !== schema) {
    return badName(`the channel names schema ${named}, filter.schema names ${schema}`);
  }
  const name: TableName = { schema: named ?? schema ?? DEFAULT_SCHEMA, table };
  if (name.schema.includes('\0') || table.includes('\0')) return badName('an identifier holds no zero byte');
  return {
    ok: true,
    channel: { kind: 'table', name: text as ChannelName, canonical: canonicalTableChannel(name), table: name },
  };
}

function unquote(identifier: string): string | undefined {
  if (identifier.startsWith('"')) return identifier.slice(1, -1).replaceAll('""', '"');
  return PLAIN_IDENTIFIER.test(identifier) ? identifier : undefined;
}

// Names are taken as they stand, without SQL's folding to lower case: `db:Posts` is the table "Posts".
// The canonical form quotes whatever SQL would fold or not accept bare.
function quoteWhereNeeded(identifier: string): string {
  return UNQUOTED_IDENTIFIER.test(identifier) ? identifier : `"${identifier.replaceAll('"', '""')}"`;
}

// In characters as SQL's length() counts them; a name that is short in UTF-16 units needs no counting.
function isTooLong(text: string): boolean {
  return text.length > MAX_LENGTH && (text.length > MAX_LENGTH * 2 || [...text].length > MAX_LENGTH);
}

function hasWildcard(text: string): boolean {
  return text.includes('*') || text.includes('%');
}

function badName(message: string): ChannelNameResult {
  return { ok: false, refusal: { code: 'bad_name', message } };
}

function wildcard(): ChannelNameResult {
  const message = 'Only concrete channel names can be subscribed, not patterns';
  return { ok: false, refusal: { code: 'wildcard_not_supported', message } };
}

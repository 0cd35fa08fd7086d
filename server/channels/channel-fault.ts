// Owns what the database's refusals of a channel row mean for whoever wrote it: one code and one sentence. The
// grammar of patterns, and what may be watched, are decided in SQL alone.

import { classifyDatabaseError, type DatabaseFailure } from '../db/sqlstate.ts';
import type { ChannelRefusal } from './channel.ts';

export const MAX_PATTERN_LENGTH = 200;

const GRAMMAR =
  'A pattern has 1 to 200 letters, digits and _ - . : / @ = , ; #, with * for one or more characters, ' +
  'or is db:table or db:schema.table';
const DUPLICATE = 'There is a channel with this pattern already (% and * are the same)';

/** A pattern that needs not be shown to the database. Counted as SQL counts. */
export function findPatternFault(pattern: string | undefined): ChannelRefusal | undefined {
  const isTooLong = pattern !== undefined && [...pattern].length > MAX_PATTERN_LENGTH;
  return isTooLong ? { code: 'bad_name', message: GRAMMAR } : undefined;
}

/** Why the database refused to write a channel row; undefined if that is no fault of the row's. */
export function refusalOfWrite(error: unknown): ChannelRefusal | undefined {
  const failure = classifyDatabaseError(error);
  const { kind, constraint } = failure;
  const sentence = sentenceOf(failure);
  switch (kind) {
    case 'unique_violation':
      return constraint === 'channels_pattern_unique' ? { code: 'conflict', message: DUPLICATE } : undefined;
    case 'check_violation':
      return constraint?.startsWith('channels_pattern_') ? { code: 'bad_name', message: GRAMMAR } : undefined;
    case 'undefined_table':
      return { code: 'bad_name', message: sentence };
    case 'wrong_object_type':
    case 'not_supported':
    case 'permission_denied':
      return { code: 'conflict', message: sentence };
    default:
      return undefined;
  }
}

/** What the database said, with the statement that would mend it where it knows one. */
export function sentenceOf({ message, hint }: DatabaseFailure): string {
  return hint === undefined ? message : `${message}; ${hint}`;
}

// Owns what a publisher is told of a statement that the database refused. Whoever is judged by policies gets one
// answer for channels that do not exist, that are closed and that are forbidden, and for a policy that raised:
// which of them it was would say whether there is such a channel. Texts of the database go to admins alone.

import { classifyDatabaseError, type DatabaseFailure, mayPass } from '../db/sqlstate.ts';
import { CHANNEL_UNAVAILABLE, type Refusal } from '../protocol/error-codes.ts';

export type PublishFailure = {
  readonly refusal: Refusal;
  readonly index: number | null;
  /** What a policy or a trigger raised, and so denied: for the log. */
  readonly raised?: DatabaseFailure | undefined;
};

export type FailedPublish = { readonly isAdmin: boolean /** Messages of the statement. */; readonly count: number };

/** Reads the error of realtime.publish_as(); undefined if it says nothing of the request. */
export function readPublishFailure(error: unknown, { isAdmin, count }: FailedPublish): PublishFailure | undefined {
  const failure = classifyDatabaseError(error);
  const index = placeOf(error, count);
  // Read only: a standby, until it is promoted.
  if (mayPass(failure.kind) || failure.kind === 'read_only') return { refusal: UNAVAILABLE, index: null };
  if (failure.sqlstate === undefined) return undefined;
  if (failure.kind === 'permission_denied') return { refusal: denied(isAdmin ? failure.message : undefined), index };
  const refusal = refusalOf(failure);
  if (refusal !== undefined) return { refusal, index };
  return isAdmin ? undefined : { refusal: denied(), index, raised: failure };
}

/** The one answer; `detail` for admins alone. */
export function denied(detail?: string): Refusal {
  return { code: 'publish_denied', message: CHANNEL_UNAVAILABLE, detail };
}

export const ID_REFUSED: Refusal = {
  code: 'bad_frame',
  message: 'id can be chosen only with a token that has a sub, and not as anon',
};

const UNAVAILABLE: Refusal = { code: 'unavailable', message: 'The database cannot be asked at the moment' };
const ID_REUSED: Refusal = { code: 'id_reused', message: 'This id was used for another message within 24 hours' };
const ID_NOT_KEPT: Refusal = { code: 'bad_frame', message: 'id cannot be chosen on a channel that is not persisted' };

// What was raised by realtime.admit_message() and publish_as() for a publisher who may publish there. A policy may
// raise the same codes, so it takes their words too.
function refusalOf({ kind, constraint, message }: DatabaseFailure): Refusal | undefined {
  if (kind === 'unique_violation' && constraint === 'message_ids_pkey') return ID_REUSED;
  if (kind === 'data_exception' && message.startsWith('an id cannot be chosen')) return ID_NOT_KEPT;
  if (kind === 'data_exception' && message.startsWith('an id can be chosen only')) return ID_REFUSED;
  if (kind === 'limit_exceeded' && message.startsWith('payload_too_large')) return tooLarge(message);
  if (kind !== 'check_violation') return undefined;
  if (/^messages_(channel|event)_name_reserved$/.test(constraint ?? '')) return RESERVED;
  return /^messages_(channel|event)_name_/.test(constraint ?? '') ? BAD_NAME : undefined;
}

const RESERVED: Refusal = { code: 'reserved_name', message: 'The channel or the event has a reserved name' };
const BAD_NAME: Refusal = { code: 'bad_name', message: 'The channel or the event has no name that can be published' };

function tooLarge(message: string): Refusal {
  const said = message.slice('payload_too_large: '.length);
  return { code: 'payload_too_large', message: said.charAt(0).toUpperCase() + said.slice(1) };
}

/** publish_as() names the number of the message in the error's column. */
function placeOf(error: unknown, count: number): number | null {
  const { column } = error as { readonly column?: unknown };
  if (typeof column === 'string' && /^\d+$/.test(column)) return Number(column) - 1;
  return count === 1 ? 0 : null;
}

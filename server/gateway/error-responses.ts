// Owns how the document describes errors: one shape, and for each status when it comes and an example.

import { HttpErrorSchema } from './http-refusal.ts';

const ERRORS = {
  400: ['bad_request', 'The request is not as the schema wants it', 'body has the unknown field "patern"'],
  401: ['auth_required', 'No token, or one that does not hold', 'A token is required'],
  402: [
    'quota_exceeded',
    'As many as the month allows were accepted',
    'The monthly quota of this webhook URL is used up',
  ],
  403: ['forbidden', 'The token is good, and its role may not do this', 'For admins only'],
  404: ['not_found', 'There is no such thing', 'There is no channel with this id'],
  409: ['conflict', 'What is there already stands in the way', 'There is a channel with this pattern already'],
  413: ['payload_too_large', 'The body, or a payload in it, is too large', 'Request body is too large'],
  415: ['unsupported_media_type', 'The body is of another type than application/json', 'Unsupported Media Type'],
  426: ['upgrade_required', 'The request does not ask for a WebSocket', 'This is a WebSocket'],
  429: ['rate_limited', 'Too many requests; Retry-After says when to come back', 'Too many requests from this address'],
  500: ['internal', 'Something failed inside; it is in the log', 'Internal error'],
  503: ['unavailable', 'The database cannot be asked; try again', 'The database cannot be asked at the moment'],
} as const;

type ErrorStatus = keyof typeof ERRORS;

/** Response schemas for the statuses. */
export function errorResponses(...statuses: readonly ErrorStatus[]) {
  return Object.fromEntries(statuses.map((statusCode) => [statusCode, responseOf(statusCode)]));
}

/** What every route for admins may answer; with a body, what BODY_ERRORS has as well. */
export const ADMIN_ERRORS = errorResponses(400, 401, 403, 429, 503);
export const BODY_ERRORS = errorResponses(413, 415);

function responseOf(statusCode: ErrorStatus) {
  const [error, description, message] = ERRORS[statusCode];
  return { ...HttpErrorSchema, description, examples: [{ error, message, statusCode }] };
}

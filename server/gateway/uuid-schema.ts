// Owns what a UUID in a frame, a path, a query or a body is: 36 characters. The format alone would let `urn:uuid:` through,
// which Postgres does not take.

import { Type } from 'typebox';

const HEX = '[0-9a-fA-F]';
const PATTERN = `^${HEX}{8}-${HEX}{4}-${HEX}{4}-${HEX}{4}-${HEX}{12}$`;

const UUID = new RegExp(PATTERN);

/** Whether a text is a UUID as Postgres prints it, in either case. */
export function isUuid(text: string): boolean {
  return UUID.test(text);
}

/** A string schema; `description` for the document. */
export function uuidSchema(description: string) {
  return Type.String({
    format: 'uuid',
    pattern: PATTERN,
    description,
    examples: ['550e8400-e29b-41d4-a716-446655440000'],
  });
}

/** Path parameters of whatever has an `id`. */
export function idParams(description: string) {
  return Type.Object({ id: uuidSchema(description) }, { additionalProperties: false });
}

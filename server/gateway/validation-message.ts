// Owns the sentence that says what is wrong with a request: which part, and what was allowed there. Values that were
// sent are not repeated.

import type { FastifySchemaValidationError } from 'fastify';

const MAX_NAME = 100;

/** An Error with the sentence, as Fastify wants it; `part` is `body`, `querystring`, `params` or `headers`. */
export function validationError(faults: readonly FastifySchemaValidationError[], part: string): Error {
  const [first] = faults;
  return new Error(first === undefined ? `${part} is not as the schema wants it` : sentenceOf(first, part));
}

function sentenceOf({ instancePath, keyword, message, params }: FastifySchemaValidationError, part: string): string {
  const place = `${part}${instancePath.replaceAll('/', '.').slice(0, MAX_NAME)}`;
  if (keyword === 'additionalProperties') return `${place} has the unknown field ${named(params.additionalProperty)}`;
  if (keyword === 'enum') return `${place} is none of ${JSON.stringify(params.allowedValues)}`;
  return `${place} ${message ?? 'is not as the schema wants it'}`;
}

function named(field: unknown): string {
  const text = JSON.stringify(String(field).toWellFormed());
  return text.length > MAX_NAME ? `${text.slice(0, MAX_NAME)}…` : text;
}

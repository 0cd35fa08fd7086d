// Owns the reading of JSON bodies whose text still matters once they are parsed: numbers must come through as
// they stand there. Unlike Fastify's own parser it takes a member `__proto__`, which JSON.parse makes a plain
// property; nothing is ever merged into another object.

import type { FastifyInstance, FastifyRequest } from 'fastify';
import { must } from '../lib/assert.ts';

/** Gives the text of a request's body. Throws for a request without one. */
export type TextOf = (request: FastifyRequest) => string;

/** Makes JSON the only type of body on `scope`. */
export function keepJsonTexts(scope: FastifyInstance): TextOf {
  const texts = new WeakMap<FastifyRequest, string>();
  scope.removeAllContentTypeParsers();
  scope.addContentTypeParser('application/json', { parseAs: 'buffer' }, (request, body, done) => {
    const read = readJson(body as Buffer);
    if (read === undefined) return done(notJson());
    texts.set(request, read.text);
    done(null, read.value);
  });
  return (request) => must(texts.get(request), 'the text of a body');
}

function readJson(bytes: Buffer): { readonly text: string; readonly value: unknown } | undefined {
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    return { text, value: JSON.parse(text) };
  } catch {
    return undefined;
  }
}

function notJson(): Error {
  return Object.assign(new Error('body is not valid JSON in UTF-8'), { statusCode: 400 });
}

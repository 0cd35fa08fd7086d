// Owns how query strings are read. Where a route's schema wants an integer, plain decimal digits become one; anything
// else stays text, which the schema then refuses: nothing is bent into shape. A route of the API that names no
// parameters takes none, because a filter that is silently ignored gives an unfiltered answer.

import type { FastifyInstance, FastifyRequest } from 'fastify';

type QuerySchema = { readonly properties?: Readonly<Record<string, { readonly type?: unknown }>> };

const DIGITS = /^-?\d{1,15}$/;
const NO_PARAMETERS = { type: 'object', properties: {}, additionalProperties: false };

/** On all routes of `app` that are registered from here on. */
export function readQueries(app: FastifyInstance): void {
  app.addHook('onRoute', (route) => {
    if (route.url.startsWith('/api/')) route.schema = { querystring: NO_PARAMETERS, ...route.schema };
  });
  app.addHook('preValidation', async (request) => {
    const { properties } = (request.routeOptions.schema?.querystring ?? {}) as QuerySchema;
    for (const [name, { type }] of Object.entries(properties ?? {})) if (type === 'integer') readNumber(request, name);
  });
}

function readNumber({ query }: FastifyRequest, name: string): void {
  const fields = query as Record<string, unknown>;
  const text = Object.hasOwn(fields, name) ? fields[name] : undefined;
  if (typeof text === 'string' && DIGITS.test(text)) fields[name] = Number(text);
}

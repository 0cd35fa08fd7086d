// Owns where a request carries its token: the Authorization header, or on an upgrade the query, as a token or
// as a one-use ticket. The header wins over the query; a credential twice is refused.

import type { FastifyRequest } from 'fastify';

export type Credentials =
  | { readonly kind: 'none' }
  | { readonly kind: 'token'; readonly token: string }
  | { readonly kind: 'ticket'; readonly ticket: string }
  | { readonly kind: 'malformed' };

const BEARER = /^Bearer +([^\s,]+) *$/i;

/** The token of the Authorization header. */
export function headerCredentials(request: FastifyRequest): Credentials {
  const header = request.headers.authorization;
  if (header === undefined) return { kind: 'none' };
  const token = BEARER.exec(header)?.[1];
  return token === undefined ? { kind: 'malformed' } : { kind: 'token', token };
}

/** As `headerCredentials`, and where there is no header, `?token=` or `?ticket=`. */
export function upgradeCredentials(request: FastifyRequest): Credentials {
  const fromHeader = headerCredentials(request);
  if (fromHeader.kind !== 'none') return fromHeader;
  const { token, ticket } = request.query as Record<string, unknown>;
  if (token === undefined && ticket === undefined) return { kind: 'none' };
  if (typeof token === 'string' && ticket === undefined) return { kind: 'token', token };
  if (typeof ticket === 'string' && token === undefined) return { kind: 'ticket', ticket };
  return { kind: 'malformed' };
}

// Owns who may open a socket from a web page: the Origin header against the list, by default the same host.
// Clients other than browsers send no Origin. For connections without a token the Host is checked as well,
// else a page could reach a server on loopback by a name that it lets point there (DNS rebinding).

import { isIP } from 'node:net';

export type OriginFacts = {
  /** The Origin header. */
  readonly origin: string | undefined;
  /** The Host header, or the forwarded one behind a trusted proxy. */
  readonly host: string | undefined;
  readonly allowedOrigins: readonly string[];
};

/** Whether the page, if it is one, may connect. */
export function isOriginAllowed({ origin, host, allowedOrigins }: OriginFacts): boolean {
  if (origin === undefined || allowedOrigins.includes('*')) return true;
  if (!URL.canParse(origin)) return false;
  if (allowedOrigins.length > 0) return allowedOrigins.some((allowed) => sameOrigin(allowed, origin));
  const { protocol, host: originHost } = new URL(origin);
  return host !== undefined && originHost !== '' && originHost === withoutDefaultPort(host, protocol);
}

/** Whether Host names this server in a way that no foreign DNS name can. */
export function isHostTrusted({ host, allowedOrigins }: Omit<OriginFacts, 'origin'>, listenHost: string): boolean {
  const name = hostName(host);
  if (name === undefined) return false;
  if (name === 'localhost' || name === listenHost || isIP(name) !== 0) return true;
  return allowedOrigins.some((origin) => URL.canParse(origin) && hostName(new URL(origin).host) === name);
}

function sameOrigin(allowed: string, origin: string): boolean {
  return URL.canParse(allowed) && new URL(allowed).origin === new URL(origin).origin;
}

function withoutDefaultPort(host: string, protocol: string): string | undefined {
  const url = `${protocol}//${host}`;
  return URL.canParse(url) ? new URL(url).host : undefined;
}

function hostName(host: string | undefined): string | undefined {
  if (host === undefined || !URL.canParse(`http://${host}`)) return undefined;
  return new URL(`http://${host}`).hostname.replace(/^\[|\]$/g, '');
}

// Owns how many REST requests an address may make a minute, and a user. Upgrades have limits of their own, and
// probes have none.

import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { AddressLimit } from '../auth/address-limit.ts';
import type { Authenticator } from '../auth/authenticator.ts';
import type { Metrics } from '../stats/metrics.ts';
import { limitAddress } from './client-address.ts';
import { identifyRequest } from './http-auth.ts';
import { sendRefusal } from './http-refusal.ts';
import { limitKey } from './limit-key.ts';

export type RequestLimitOptions = {
  readonly perMinute: number;
  readonly perMinutePerUser: number;
  readonly authenticator: Authenticator;
  readonly metrics: Pick<Metrics, 'rateLimited'>;
  readonly now: () => number;
};

type Kind = 'requests_of_address' | 'requests_of_user';

/** Refuses requests above the limits with 429, on all routes of `scope`. */
export function limitRequests(scope: FastifyInstance, options: RequestLimitOptions): void {
  const { perMinute, perMinutePerUser, authenticator, now } = options;
  const addresses = new AddressLimit({ perWindow: perMinute, windowMs: 60_000, now });
  const users = new AddressLimit({ perWindow: perMinutePerUser, windowMs: 60_000, now });
  scope.addHook('onRequest', async (request, reply) => {
    const retryAfterMs = countOne(addresses, limitAddress(request));
    if (retryAfterMs > 0) return refuse(reply, options, 'requests_of_address', retryAfterMs);
    const user = await userOf(request, authenticator);
    if (user === undefined) return undefined;
    const ofUserMs = countOne(users, user);
    return ofUserMs > 0 ? refuse(reply, options, 'requests_of_user', ofUserMs) : undefined;
  });
}

/** 0, or how long there may be no more. */
function countOne(limit: AddressLimit, key: string): number {
  const blockedMs = limit.blockedMs(key);
  if (blockedMs === 0) limit.note(key);
  return blockedMs;
}

/** Undefined for whoever has no `sub`, and is limited by the address alone. */
async function userOf(request: FastifyRequest, authenticator: Authenticator): Promise<string | undefined> {
  const who = await identifyRequest(request, authenticator);
  return who.kind === 'known' && who.identity.sub !== null ? limitKey(who.identity, '') : undefined;
}

function refuse(
  reply: FastifyReply,
  { perMinute, perMinutePerUser, metrics }: RequestLimitOptions,
  kind: Kind,
  retryAfterMs: number,
): FastifyReply {
  metrics.rateLimited.inc({ kind });
  const isOfUser = kind === 'requests_of_user';
  const message = `Too many requests from this ${isOfUser ? 'user' : 'address'}`;
  const limit = isOfUser ? perMinutePerUser : perMinute;
  return sendRefusal(reply, { statusCode: 429, error: 'rate_limited', message, retryAfterMs, limit });
}

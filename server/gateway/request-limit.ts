// Owns how many REST requests an address may make a minute. Upgrades have limits of their own, and probes
// have none.

import type { FastifyInstance } from 'fastify';
import { AddressLimit } from '../auth/address-limit.ts';
import { limitAddress } from './client-address.ts';
import { sendRefusal } from './http-refusal.ts';

export type RequestLimitOptions = { readonly perMinute: number; readonly now: () => number };

/** Refuses requests above the limit with 429, on all routes of `scope`. */
export function limitRequests(scope: FastifyInstance, { perMinute, now }: RequestLimitOptions): void {
  const limit = new AddressLimit({ perWindow: perMinute, windowMs: 60_000, now });
  scope.addHook('onRequest', async (request, reply) => {
    const address = limitAddress(request);
    const retryAfterMs = limit.blockedMs(address);
    if (retryAfterMs === 0) return void limit.note(address);
    reply.header('x-ratelimit-limit', String(perMinute));
    const message = 'Too many requests from this address';
    return sendRefusal(reply, { statusCode: 429, error: 'rate_limited', message, retryAfterMs });
  });
}

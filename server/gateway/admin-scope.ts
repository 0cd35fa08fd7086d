// Owns what all routes for admins have in common: access is decided before anything of the request is read, and
// texts that the database cannot hold are refused.

import type { FastifyInstance } from 'fastify';
import type { Authenticator } from '../auth/authenticator.ts';
import { refuseUnholdableBodies } from './holdable-input.ts';
import { ADMINS_ONLY, AUTH_REQUIRED, identifyRequest } from './http-auth.ts';
import { sendRefusal } from './http-refusal.ts';

/** Makes every route that is registered on `scope` from here on one for admins only. */
export function forAdminsOnly(scope: FastifyInstance, authenticator: Authenticator): void {
  scope.addHook('onRequest', async (request, reply) => {
    const who = await identifyRequest(request, authenticator);
    if (who.kind === 'refused') return sendRefusal(reply, who.refusal);
    if (who.kind === 'anonymous') return sendRefusal(reply, AUTH_REQUIRED);
    return who.identity.isAdmin ? undefined : sendRefusal(reply, ADMINS_ONLY);
  });
  refuseUnholdableBodies(scope);
}

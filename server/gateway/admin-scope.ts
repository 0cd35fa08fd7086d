// Owns what all routes for admins have in common: access is decided before anything of the request is read, and
// texts that the database cannot hold are refused.

import type { FastifyInstance } from 'fastify';
import type { Authenticator } from '../auth/authenticator.ts';
import { refuseUnholdableBodies } from './holdable-input.ts';
import { ADMINS_ONLY, knownIdentity, refuseUnknown } from './http-auth.ts';
import { sendRefusal } from './http-refusal.ts';

/** Makes every route that is registered on `scope` from here on one for admins only. */
export function forAdminsOnly(scope: FastifyInstance, authenticator: Authenticator): void {
  scope.addHook('onRequest', refuseUnknown(authenticator));
  scope.addHook('onRequest', async (request, reply) => {
    const { isAdmin } = await knownIdentity(request, authenticator);
    return isAdmin ? undefined : sendRefusal(reply, ADMINS_ONLY);
  });
  refuseUnholdableBodies(scope);
}

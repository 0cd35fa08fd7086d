// Owns tokens for people and tools: signed with the first secret, with the issuer and audience that the
// server asks for, and the role in the claim where it looks for it.

import { mintToken } from '../../server/auth/mint-token.ts';
import type { SecretConfig } from '../../server/config/stored-secret.ts';
import { ToolError } from './tool-arguments.ts';

export type TokenOrder = {
  readonly role: string;
  readonly sub?: string | undefined;
  readonly expiresInMs: number;
  readonly claims?: Readonly<Record<string, unknown>> | undefined;
};

/** A token that the server of this configuration accepts. Throws a ToolError for a role that it does not. */
export function mintFor(config: SecretConfig, order: TokenOrder): string {
  const { roles, adminRoles, jwtSecrets, roleClaim, issuer, audience } = config.auth;
  const known = [...roles, ...adminRoles];
  if (!known.includes(order.role)) {
    throw new ToolError(
      `the role ${order.role} would be refused; the server takes ${known.join(', ')} (ROWCAST_ROLES, ROWCAST_ADMIN_ROLES)`,
    );
  }
  const claims = {
    ...(issuer === undefined ? {} : { iss: issuer }),
    ...(audience === undefined ? {} : { aud: audience }),
    ...order.claims,
    ...(order.sub === undefined ? {} : { sub: order.sub }),
    [roleClaim]: order.role,
  };
  return mintToken({ secret: jwtSecrets[0] ?? '', claims, expiresInSeconds: Math.ceil(order.expiresInMs / 1000) });
}

/** A token of the first admin role. Throws a ToolError if there is none. */
export function mintAdminToken(config: SecretConfig, expiresInMs: number): string {
  const role = config.auth.adminRoles[0];
  if (role === undefined) throw new ToolError('there is no admin role (ROWCAST_ADMIN_ROLES is empty)');
  return mintFor(config, { role, expiresInMs });
}

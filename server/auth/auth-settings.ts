// Owns the settings of authentication as this room needs them; `config.auth`, completed with its secret,
// fulfils the type. What contradicts itself is refused when the verifier is made, not at the first token.

export type AuthSettings = {
  /** HS256 secrets; two while rotating. Empty: no token signed with a shared secret is accepted. */
  readonly jwtSecrets: readonly string[];
  /** Where the public keys of RS, PS, ES and EdDSA tokens come from. */
  readonly jwksUrl?: string | undefined;
  readonly issuer?: string | undefined;
  readonly audience?: string | undefined;
  /** Accept tokens without `exp`. */
  readonly allowNoExp: boolean;
  /** The claim that names the role: a name, or a path whose dots lead into objects. */
  readonly roleClaim: string;
  /** Tolerated difference of clocks for `nbf`. `exp` has none: what is over is over, for open sockets too. */
  readonly clockToleranceMs: number;
  /** The role of a token that names none; undefined: such a token is refused. */
  readonly defaultRole?: string | undefined;
  /** Roles that a token may name, by exact text. */
  readonly roles: readonly string[];
  /** Roles that see everything and are never SET. */
  readonly adminRoles: readonly string[];
};

/** Throws with a sentence for the operator if the settings contradict themselves. */
export function assertAuthSettings(settings: AuthSettings): void {
  const { jwtSecrets, jwksUrl, defaultRole, roles, adminRoles } = settings;
  if (jwtSecrets.some((secret) => Buffer.byteLength(secret) < 32)) fail('a JWT secret has at least 32 bytes');
  if (jwtSecrets.length > 2) fail('at most two JWT secrets, while rotating');
  if (defaultRole !== undefined && !roles.includes(defaultRole)) fail('the default role must be one of the roles');
  if ([...roles, ...adminRoles].includes('none')) fail('"none" cannot be a role: SET ROLE none means the login itself');
  if (jwksUrl !== undefined && !isSafeKeyUrl(jwksUrl)) fail('the JWKS URL must be https, or http on loopback');
}

function isSafeKeyUrl(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const url = new URL(text);
  if (url.protocol === 'https:') return true;
  return url.protocol === 'http:' && ['localhost', '127.0.0.1', '[::1]'].includes(url.hostname);
}

function fail(what: string): never {
  throw new Error(`authentication settings: ${what}`);
}

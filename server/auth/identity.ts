// Owns what a token turns into: the identity that policies judge. Equal identities form one class, judged
// once for all its connections. Verifying tokens is verify-token.ts.

export type Claims = { readonly [name: string]: unknown };

export type Identity = {
  readonly role: string;
  /** Role in ROWCAST_ADMIN_ROLES: sees all rows and columns, is never SET in the database. */
  readonly isAdmin: boolean;
  /** The `sub` claim as text; null for a token without one. */
  readonly sub: string | null;
  readonly claims: Claims;
  /** Unix seconds; null only where tokens without `exp` are allowed. */
  readonly expiresAt: number | null;
  /** Equal for identities that every policy answers alike: role and claims as canonical text. */
  readonly classKey: string;
};

// Owns the making of tokens, for the command line and for tests: the server itself never mints one for a
// client.

import jsonwebtoken from 'jsonwebtoken';

export type MintOptions = {
  /** HS256 secret, at least 32 bytes. */
  readonly secret: string;
  /** All claims; `role` and `sub` among them. `iat` and `exp` are added unless given. */
  readonly claims: Readonly<Record<string, unknown>>;
  readonly expiresInSeconds: number;
};

/** A token signed with HS256. Throws if the secret is too short. */
export function mintToken({ secret, claims, expiresInSeconds }: MintOptions): string {
  if (Buffer.byteLength(secret) < 32) throw new RangeError('a JWT secret has at least 32 bytes');
  const iat = Math.floor(Date.now() / 1000);
  return jsonwebtoken.sign({ iat, exp: iat + expiresInSeconds, ...claims }, secret, { algorithm: 'HS256' });
}

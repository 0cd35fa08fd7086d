// Owns as whom somebody is counted by limits per user: by the token's `sub`, and without one, as anonymous
// visitors and most tokens of admins are, by the address.

import type { Identity } from '../auth/identity.ts';

/** Equal for what is counted together; no user's key is an address's. */
export function limitKey({ sub }: Pick<Identity, 'sub'>, address: string): string {
  return sub === null ? `address ${address}` : `user ${sub}`;
}

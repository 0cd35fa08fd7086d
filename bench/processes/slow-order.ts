// Owns what the process of badly reading clients is told.

import type { ServerAddress } from './receive-order.ts';

/** All there is; nothing; a byte a second; all, but no ping is ever answered. */
export type Manner = 'well' | 'stalled' | 'trickling' | 'mute';

export type SlowOrder = ServerAddress & { readonly manners: readonly Manner[] };

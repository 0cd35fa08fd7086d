// Owns the house-keeping of deliveries: gives up what is too old for endpoints that do not work, and removes what ended
// long ago. In slices, so that nobody waits for it; several servers may do it at once.

import type { Pool } from 'pg';
import { polling } from '../lib/polling.ts';
import type { Service } from '../lib/service.ts';

export type DeliveryKeeperOptions = {
  readonly pool: Pool;
  readonly giveUpMs: number;
  readonly keepMs: number;
  readonly counters: { readonly dead: (deliveries: number) => void; readonly removed: (deliveries: number) => void };
};

const SLICE = 2_000;
const INTERVAL_MS = 60_000;
/** Removal goes through what is kept, so it is done less often. */
const LOOKS_PER_REMOVAL = 10;

/** A loop that looks once a minute. */
export function deliveryKeeper(options: DeliveryKeeperOptions): Service {
  let looks = 0;
  return polling({
    name: 'webhook-keeper',
    intervalMs: INTERVAL_MS,
    look: async () => {
      await giveUpOld(options);
      if (looks++ % LOOKS_PER_REMOVAL === 0) await removeOld(options);
    },
  });
}

/** Gives up all that is due. */
export async function giveUpOld({ pool, giveUpMs, counters }: DeliveryKeeperOptions): Promise<void> {
  counters.dead(await inSlices(pool, 'select realtime.expire_deliveries($1, $2) as count', giveUpMs));
}

/** Removes all that is due. */
export async function removeOld({ pool, keepMs, counters }: DeliveryKeeperOptions): Promise<void> {
  counters.removed(await inSlices(pool, 'select realtime.remove_deliveries($1, $2) as count', keepMs));
}

async function inSlices(pool: Pool, text: string, ageMs: number): Promise<number> {
  let total = 0;
  while (true) {
    const { rows } = await pool.query<{ count: bigint }>(text, [ageMs, SLICE]);
    const count = Number(rows[0]?.count ?? 0);
    total += count;
    if (count < SLICE) return total;
  }
}

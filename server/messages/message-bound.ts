// Owns the bound of a message in the database: what is published in SQL is measured there, by the same setting.

import type { Pool } from 'pg';

/** Puts ROWCAST_MAX_MESSAGE where the trigger of realtime.messages reads it; writes only where it is another. */
export async function settleMessageBound(pool: Pool, maxMessageBytes: number): Promise<void> {
  await pool.query(
    'update realtime.settings set max_message_bytes = $1, updated_at = now() where max_message_bytes <> $1',
    [maxMessageBytes],
  );
}

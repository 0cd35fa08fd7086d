// Owns the answer to "is history kept of this table": the watched tables whose channel has persist = false, read
// from the channel rows from time to time and kept in memory, because every change asks.

import type { Pool } from 'pg';

const READ = `
  select 'db:' || w.relation as channel
  from realtime.watched as w cross join lateral realtime.deciding_channel('db:' || w.relation) as d
  where not d.persist and exists (select from realtime.channels as c where not c.persist)`;

export class EphemeralTables {
  readonly #pool: Pool;
  #channels: ReadonlySet<string> = new Set();

  constructor(pool: Pool) {
    this.#pool = pool;
  }

  /** Reads them anew. Rejects when the database cannot be asked; what was known stays. */
  async look(): Promise<void> {
    const { rows } = await this.#pool.query<{ channel: string }>(READ);
    this.#channels = new Set(rows.map(({ channel }) => channel));
  }

  /** Whether changes on the canonical `channel` are kept in history. */
  isPersisted(channel: string): boolean {
    return !this.#channels.has(channel);
  }
}

// Owns the look at the catalogue once a second: tables whose key came or went, that were dropped and made
// again, or that a channel row names, move to the publication where they belong; tables without history become
// known; partitions that came, went or were emptied are told. Says each thing it did or could not do once, not every
// second.

import type { Pool } from 'pg';
import type { Logger } from '../lib/logger.ts';
import type { EphemeralTables } from './ephemeral-tables.ts';
import type { WatchCompletion } from './watch-completion.ts';

export type CataloguePollOptions = {
  readonly pool: Pool;
  readonly completion: WatchCompletion;
  readonly ephemeralTables: Pick<EphemeralTables, 'look'>;
  /** Tells the subscribers of a table that its partitions changed; absent for as long as nothing streams here. */
  readonly onPartitionsChanged: () => ((relation: string, position: string) => void) | undefined;
  readonly log: Logger;
};

type Outcome = { relation: string; action: string; ok: boolean; detail: string | null };

export class CataloguePoll {
  readonly #options: CataloguePollOptions;
  #told = new Set<string>();

  constructor(options: CataloguePollOptions) {
    this.#options = options;
  }

  /** One look. Rejects when the database cannot be asked. */
  async look(): Promise<void> {
    const { pool, completion, ephemeralTables } = this.#options;
    const { rows } = await pool.query<Outcome>('select relation, action, ok, detail from realtime.reconcile_watched()');
    const now = new Set<string>();
    for (const outcome of rows) {
      const key = JSON.stringify(outcome);
      if (!this.#told.has(key)) this.#tell(outcome);
      now.add(key);
    }
    this.#told = now;
    await completion.lookAtAll();
    await ephemeralTables.look();
    await this.#lookAtPartitions();
  }

  // Who leads tells: what one server has noted, another does not see.
  async #lookAtPartitions(): Promise<void> {
    const { pool, onPartitionsChanged, log } = this.#options;
    const tell = onPartitionsChanged();
    if (tell === undefined) return;
    const { rows } = await pool.query<{ relation: string; at_position: string | null }>(
      'select relation, at_position from realtime.changed_partitions()',
    );
    for (const { relation, at_position } of rows) {
      if (at_position !== null) tell(relation, at_position);
      log.warn({ relation }, 'a partition was attached, detached or emptied: its subscribers are told of a gap');
    }
  }

  #tell({ relation, action, ok, detail }: Outcome): void {
    const fields = { relation, action, detail };
    if (ok) this.#options.log.info(fields, 'the watching of a table was adjusted');
    else this.#options.log.warn(fields, 'the watching of a table needs attention');
  }
}

// Owns the fence: a table that everybody may read, whose rows come behind everything that was committed before
// them. Once a subscriber has a fence, it has all that it will ever get of what lies before.

import type { TestDatabase } from '../rig/postgres.ts';

export const FENCE_CHANNEL = 'db:oracle_fence';
export const FENCE_TABLE = 'oracle_fence';
export const FENCE_SQL = `
  create table public.oracle_fence (id int primary key);
  grant select on public.oracle_fence to public;
  select realtime.watch('public.oracle_fence');`;

export class Fence {
  readonly #database: TestDatabase;
  #number = 0;

  constructor(database: TestDatabase) {
    this.#database = database;
  }

  /** Commits one more, and gives its number. */
  async raise(): Promise<number> {
    this.#number++;
    await this.#database.query('insert into public.oracle_fence values ($1)', [this.#number]);
    return this.#number;
  }
}

// The oracle of kills finds bugs that are planted on purpose, in a server that is otherwise as it is.

import { expect, it } from 'vitest';
import { newestPostgres } from '../rig/postgres.ts';
import { drawn, figure, randomFrom, scaled, seed } from '../rig/scale.ts';
import { runKillOracle } from './kill-oracle.ts';
import { EARLY_ACKNOWLEDGEMENT, type Plant } from './plant.ts';

const TIMEOUT_MS = scaled(90_000, 300_000);

/** What is wrong in the server, and what the oracle must say. */
const PLANTS: Readonly<Record<string, { readonly plant: Plant; readonly finding: RegExp }>> = {
  'an acknowledgement before the journal': {
    plant: EARLY_ACKNOWLEDGEMENT,
    finding: /were acknowledged and not journaled/,
  },
  'a checkpoint that forgets what is handled': {
    plant: {
      file: 'delivery/journal.ts',
      find: 'handled = greatest(handled, ',
      replace: 'handled = coalesce(handled, ',
    },
    finding: /were acknowledged and not journaled/,
  },
  'a checkpoint ahead of its rows': {
    plant: {
      file: 'delivery/journal-queue.ts',
      find: 'findLastIndex(({ after }) => after <= this.#taken)',
      replace: 'length - 1',
    },
    finding: /handled rows in history/,
  },
  'a start that keeps what was written of an unfinished transaction': {
    plant: { file: 'delivery/pipeline.ts', find: 'await journal.prepare(handledEnd);', replace: '' },
    finding: /history holds/,
  },
};

/** One of them in every run, all in the soak. */
it.each(drawn(Object.entries(PLANTS), 1))(
  'the oracle finds %s',
  async (what, { plant, finding }) => {
    const report = await runKillOracle({
      postgres: newestPostgres(),
      kills: 2,
      random: randomFrom(seed),
      settleMs: 3_000,
      plant,
      env: { ROWCAST_JOURNAL_ROWS: '3' },
    });
    const found = report.violations.filter((violation) => finding.test(violation));
    figure(`planted ${what}: seed ${seed}, ${found[0]?.slice(0, 160)}`);
    expect(found).not.toEqual([]);
  },
  TIMEOUT_MS,
);

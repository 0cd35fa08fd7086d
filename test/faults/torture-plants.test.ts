// The torture finds bugs that are planted on purpose, in a server that is otherwise as it is.

import { expect, it } from 'vitest';
import { newestPostgres } from '../rig/postgres.ts';
import { figure, isSoak, randomFrom, scaled, seed } from '../rig/scale.ts';
import { EARLY_ACKNOWLEDGEMENT, type Plant } from './plant.ts';
import { runTorture } from './torture.ts';
import { FAULTS } from './torture-faults.ts';

type Planted = { readonly plant: Plant; readonly fault: string; readonly finding: RegExp };

/** What is wrong in the server, under which fault it shows, and what the oracle must say. */
const PLANTS: Readonly<Record<string, Planted>> = {
  'an acknowledgement before the journal': {
    plant: EARLY_ACKNOWLEDGEMENT,
    fault: 'server killed',
    finding: /^[1-9]\d* lost|^told without a cause|epochs, 1 of them explained/,
  },
  'a subscription that is live before what was held is sent': {
    plant: {
      file: 'delivery/replay.ts',
      find: 'if (taken.length === 0) return this.#goLive(reached);',
      replace: 'this.#goLive(reached); if (taken.length === 0) return true;',
    },
    fault: 'client links reset',
    finding: /^[1-9]\d* (lost|out of order)/,
  },
  'a replay that skips a slice': {
    plant: {
      file: 'delivery/replay.ts',
      find: 'for (let from = 0; from < messages.length && !this.#isOver; ) {',
      replace: 'for (let from = isEnd ? 0 : messages.length; from < messages.length && !this.#isOver; ) {',
    },
    fault: 'client links reset',
    finding: /^[1-9]\d* lost/,
  },
};

// In the soak alone: three seconds of torture do not find each of them each time on a machine that is busy.
it.runIf(isSoak).each(Object.entries(PLANTS))(
  'the torture finds %s',
  async (what, { plant, fault, finding }) => {
    const report = await runTorture({
      ms: scaled(3_000, 20_000),
      random: randomFrom(seed),
      servers: 1,
      postgres: newestPostgres(),
      subscribers: 7,
      writers: 3,
      writerPauseMs: 40,
      faultPauseMs: 400,
      faults: FAULTS.filter(({ name }) => name === fault),
      plants: [plant],
      settleMs: 3_000,
    });
    const found = report.violations.filter((violation) => finding.test(violation));
    figure(`planted ${what}: seed ${seed}, ${found.join(', ')}`);
    expect(found, report.violations.join('\n')).not.toEqual([]);
  },
  120_000,
);

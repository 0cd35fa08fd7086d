// The ledger of webhooks finds bugs that are planted on purpose, in a server that is otherwise as it is. In the soak alone.

import { expect, it } from 'vitest';
import { newestPostgres } from '../rig/postgres.ts';
import { figure, isSoak, randomFrom, seed } from '../rig/scale.ts';
import type { Plant } from './plant.ts';
import { runWebhookLedger } from './webhook-ledger.ts';
import type { Mix } from './webhook-receiver.ts';

const TIMEOUT_MS = 180_000;
const MIX: Mix = { ok: 70, redirect: 2, refuse: 5, busy: 5, fail: 8, slow: 3, never: 3, reset: 4 };

/** What is wrong in the server, and what the ledger must say. */
const PLANTS: Readonly<Record<string, { readonly plant: Plant; readonly finding: RegExp }>> = {
  'failures that pass for success': {
    plant: { file: 'webhooks/delivery-queue.ts', find: `return 'failed';`, replace: `return 'delivered';` },
    finding: /received \d+ of \d+ messages/,
  },
  'bodies that change with the attempt': {
    plant: {
      file: 'webhooks/due-request.ts',
      find: 'joined(rows) : first.body',
      replace: 'joined(rows) : Buffer.concat([first.body, Buffer.alloc(first.attempts, 32)])',
    },
    finding: /the bytes of .* changed/,
  },
  'requests that are sent twice': {
    plant: {
      file: 'webhooks/worker.ts',
      find: 'this.#begin(request, ending);',
      replace: 'this.#begin(request, ending), this.#begin(request, ending);',
    },
    finding: /was sent twice at once/,
  },
};

it.runIf(isSoak).each(Object.entries(PLANTS))(
  'the ledger finds %s',
  async (what, { plant, finding }) => {
    const report = await runWebhookLedger({
      postgres: newestPostgres(),
      messages: 500,
      kills: 1,
      channels: 7,
      mix: MIX,
      random: randomFrom(seed),
      settleMs: 20_000,
      plant,
    });
    const found = report.violations.filter((violation) => finding.test(violation));
    figure(`planted ${what}: seed ${seed}, ${found[0]?.slice(0, 160)}`);
    expect(found).not.toEqual([]);
  },
  TIMEOUT_MS,
);

// The server is killed in mid-stream under write load and started again, at random moments: nothing that was
// committed is lost, acknowledged too early or written twice. That the oracle finds bugs: kill-plants.test.ts.

import { expect, it } from 'vitest';
import { newestPostgres } from '../rig/postgres.ts';
import { figure, randomFrom, scaled, seed } from '../rig/scale.ts';
import { runKillOracle } from './kill-oracle.ts';

const KILLS = scaled(2, 20);
const TIMEOUT_MS = scaled(90_000, 300_000);

it(
  'every committed row survives kills of the server, once and in order',
  async () => {
    const report = await runKillOracle({
      postgres: newestPostgres(),
      kills: KILLS,
      random: randomFrom(seed),
      settleMs: 30_000,
    });
    figure(
      `kills: seed ${seed}, ${KILLS} × SIGKILL, ${report.committed} changes committed by 4 writers, ${report.sentAgain} had ` +
        `to be sent again; clients got ${report.received}, ${report.repeated} of them twice with the same position`,
    );
    expect(report.violations).toEqual([]);
    expect(report.sentAgain).toBeGreaterThan(0);
    expect(report.received).toBeGreaterThan(0);
  },
  TIMEOUT_MS,
);

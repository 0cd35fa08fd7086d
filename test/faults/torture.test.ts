// The torture in its short form; the long one is `npm run torture`. That its oracle finds bugs: torture-plants.test.ts.

import { expect, it } from 'vitest';
import { figure, randomFrom, scaled, seed } from '../rig/scale.ts';
import { runTorture } from './torture.ts';

const MS = scaled(15_000, 120_000);

it(
  'nothing is lost, doubled or out of order while servers, links and the database break',
  async () => {
    const report = await runTorture({
      ms: MS,
      random: randomFrom(seed),
      subscribers: 9,
      writers: 2,
      writerPauseMs: 60,
      faultPauseMs: 800,
    });
    figure(`torture: seed ${seed}`);
    for (const line of report.lines) figure(`  ${line}`);
    expect(report.violations).toEqual([]);
    expect(report.faults).toBeGreaterThan(0);
    expect(report.deliveries).toBeGreaterThan(0);
  },
  MS + 240_000,
);

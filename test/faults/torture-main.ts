// The program of the long torture: `npm run torture -- --minutes 10 --seed 1`. Prints what it does and what came of
// it; code 1 if anything was lost, doubled or out of order.

import { randomInt } from 'node:crypto';
import { Command } from 'commander';
import { randomFrom } from '../rig/scale.ts';
import { runTorture } from './torture.ts';
import { FAULTS } from './torture-faults.ts';

type Options = {
  readonly [name in 'minutes' | 'seed' | 'subscribers' | 'writers' | 'pause' | 'writerPause' | 'faults']: string;
};

const options = new Command('torture')
  .option('--minutes <n>', 'how long it is tortured', '10')
  .option('--seed <n>', 'decides what happens; default: a new one', String(randomInt(2 ** 31)))
  .option('--subscribers <n>', 'connections, each with two subscriptions', '24')
  .option('--writers <n>', 'connections that write', '4')
  .option('--pause <ms>', 'the longest pause between two faults', '4000')
  .option('--faults <texts>', 'only those whose name holds one of them, by commas', '')
  .option('--writer-pause <ms>', 'the longest pause of a writer between two transactions', '120')
  .parse()
  .opts<Options>();

console.log(`torture: ${options.minutes} minutes, seed ${options.seed}`);
const startedAt = performance.now();
const report = await runTorture({
  ms: Number(options.minutes) * 60_000,
  random: randomFrom(Number(options.seed)),
  subscribers: Number(options.subscribers),
  writers: Number(options.writers),
  writerPauseMs: Number(options.writerPause),
  faults: FAULTS.filter(({ name }) => options.faults.split(',').some((text) => name.includes(text))),
  faultPauseMs: Number(options.pause),
  say: (line) => console.log(`  ${((performance.now() - startedAt) / 1_000).toFixed(1)} s  ${line}`),
});
for (const line of report.lines) console.log(line);
for (const violation of report.violations) console.log(`VIOLATED: ${violation}`);
// At once: a subscriber that is waiting for its next try is nobody's business any more.
process.exit(report.violations.length === 0 ? 0 : 1);

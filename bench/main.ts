// The program: starts a PostgreSQL 18 of its own with the settings it comes with, runs the cases that were
// asked for (all without a name), and removes what it made. `npm run bench -- decode --repeats 5`.

import { mkdtemp, rm } from 'node:fs/promises';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command, InvalidArgumentError } from 'commander';
import { startEmbedded } from '../scripts/embedded/start-embedded.ts';
import type { Bench } from './bench-case.ts';
import { CASES } from './cases.ts';
import { Report } from './report.ts';

type Options = { readonly short?: true; readonly repeats: number; readonly profile?: string };

/** What differs from the defaults of PostgreSQL: room, so that no checkpoint falls into a run. fsync stays on. */
const SETTINGS = { shared_buffers: '512MB', max_wal_size: '8GB', max_connections: 200 };

const command = new Command('bench')
  .argument('[cases...]', `which of: ${CASES.map(({ name }) => name).join(', ')}`, chooseCase, [])
  .option('--short', 'numbers so small that the figures say little: does it run?')
  .option('--repeats <count>', 'repetitions of each measurement', count, 3)
  .option('--profile <folder>', 'leave a CPU profile of each measured process there')
  .addHelpText('after', `\n${CASES.map(({ name, about }) => `${name.padEnd(10)}${about}`).join('\n')}`)
  .parse();
await run(command.processedArgs[0] as string[], command.opts<Options>());

async function run(names: readonly string[], { short, repeats, profile }: Options): Promise<void> {
  const dataDir = await mkdtemp(join(tmpdir(), 'rowcast-bench-'));
  const database = await startEmbedded({ dataDir, settings: SETTINGS });
  const report = new Report((line) => console.log(line));
  const bench: Bench = {
    serverUrl: database.url,
    size: short ? 'short' : 'full',
    repeats,
    report,
    profileDir: profile,
  };
  try {
    report.note(
      `node ${process.version}, PostgreSQL ${database.version}, ${cpus().length} × ${cpus()[0]?.model.trim()}`,
    );
    for (const { name, run } of CASES) if (names.length === 0 || names.includes(name)) await run(bench);
  } finally {
    await database.stop();
    await rm(dataDir, { recursive: true, force: true });
  }
}

function chooseCase(name: string, chosen: string[]): string[] {
  if (!CASES.some((one) => one.name === name)) throw new InvalidArgumentError(`there is no case ${name}`);
  return [...chosen, name];
}

function count(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new InvalidArgumentError('a whole number from 1 on');
  return value;
}

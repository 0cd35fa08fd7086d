// Owns the planting of bugs: loaded before the server (`node --import`), it changes a piece of one source file
// on its way into the process. So a test shows that an oracle sees the bug, and the product has no switch for it.

import { registerHooks } from 'node:module';

export type Plant = {
  /** The end of the path of the file. */
  readonly file: string;
  /** What stands there, exactly once. */
  readonly find: string;
  readonly replace: string;
};

const variable = process.env.ROWCAST_TEST_PLANT;
if (variable !== undefined) plant(JSON.parse(variable) as Plant[]);

function plant(plants: readonly Plant[]): void {
  registerHooks({
    load(url, context, next) {
      const loaded = next(url, context);
      const here = plants.filter(({ file }) => url.endsWith(file));
      return here.length === 0 ? loaded : { ...loaded, source: here.reduce(planted, String(loaded.source)) };
    },
  });
}

/** The source with the piece changed. Throws if it does not stand there exactly once. */
export function planted(source: string, { file, find, replace }: Plant): string {
  if (source.split(find).length !== 2) throw new Error(`${file} does not hold exactly once: ${find}`);
  return source.replace(find, () => replace);
}

/** What several oracles must find: the slot is told that WAL may go before it is in the journal. */
export const EARLY_ACKNOWLEDGEMENT: Plant = {
  file: 'delivery/pipeline.ts',
  find: 'const batch = await stream.next(signal);',
  replace: `const batch = await stream.next(signal);
    const last = batch?.entries.findLast((entry) => entry.kind === 'commit');
    if (last !== undefined) stream.confirm(last.endLsn);`,
};

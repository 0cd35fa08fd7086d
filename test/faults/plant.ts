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
if (variable !== undefined) plant(JSON.parse(variable) as Plant);

function plant({ file, find, replace }: Plant): void {
  registerHooks({
    load(url, context, next) {
      const loaded = next(url, context);
      if (!url.endsWith(file)) return loaded;
      const source = String(loaded.source);
      if (source.split(find).length !== 2) throw new Error(`${file} does not hold exactly once: ${find}`);
      return { ...loaded, source: source.replace(find, () => replace) };
    },
  });
}

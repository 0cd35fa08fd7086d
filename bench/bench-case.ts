// Owns what a case is and what it is given. A case starts what it needs, interleaves its subject with the
// baseline, repeats, checks that everything arrived, and reports one line per figure.

import type { Report } from './report.ts';

export type Bench = {
  /** Login with all rights on a server with wal_level=logical; databases are made and dropped there. */
  readonly serverUrl: string;
  /** `short`: numbers so small that a test can afford them; the figures say little then. */
  readonly size: 'full' | 'short';
  readonly repeats: number;
  readonly report: Report;
  /** Where the measured processes leave their CPU profiles; none without. */
  readonly profileDir?: string | undefined;
};

export type BenchCase = {
  readonly name: string;
  readonly about: string;
  /** Rejects if something did not arrive, or arrived twice: a wrong result has no speed. */
  readonly run: (bench: Bench) => Promise<void>;
};

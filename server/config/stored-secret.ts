// Owns the secret that is generated where none is set: 32 random bytes in `<data folder>/jwt-secret`, for
// its owner alone. Two processes that start at once agree on one. The tools mint their tokens with it.

import { randomBytes } from 'node:crypto';
import { linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Config } from './config.ts';

/** `jwtSecrets` is never empty here; the first one signs. `generatedAt` is the file, if the secret comes from one. */
export type SecretConfig = Config & { readonly auth: { readonly jwtSecrets: readonly string[] } };
export type WithSecret = {
  readonly config: SecretConfig;
  readonly storedAt?: string | undefined;
  readonly made: boolean;
};

const SECRET_FILE = 'jwt-secret';

/** Completes `config` with the stored secret unless one is set, making it the first time. Throws if the folder cannot be written. */
export function withStoredSecret(config: Config): WithSecret {
  if (config.auth.jwtSecrets && config.auth.jwtSecrets.length > 0)
    return { config: config as SecretConfig, made: false };
  const path = join(config.storage.dataDir, SECRET_FILE);
  const found = readSecret(path);
  const secret = found ?? makeSecret(config.storage.dataDir, path);
  const auth = Object.freeze({ ...config.auth, jwtSecrets: Object.freeze([secret]) });
  return { config: Object.freeze({ ...config, auth }) as SecretConfig, storedAt: path, made: found === undefined };
}

function readSecret(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** A hard link puts the complete file in place, and fails if another process was first. */
function makeSecret(dataDir: string, path: string): string {
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  const fresh = `${path}.${process.pid}`;
  const secret = randomBytes(32).toString('base64url');
  writeFileSync(fresh, `${secret}\n`, { mode: 0o600 });
  try {
    linkSync(fresh, path);
    return secret;
  } catch (error) {
    const stored = (error as NodeJS.ErrnoException).code === 'EEXIST' ? readSecret(path) : undefined;
    if (stored === undefined) throw error;
    return stored;
  } finally {
    rmSync(fresh);
  }
}

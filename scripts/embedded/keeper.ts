// Owns bringing the embedded PostgreSQL back when it died beside a living server (a kill, an OOM). It looks
// once a second; everybody else reconnects by backoff. Abort it before the database is stopped.

import { pause } from '../../server/lib/backoff.ts';
import type { Logger } from '../../server/lib/logger.ts';
import type { Service } from '../../server/lib/service.ts';
import type { EmbeddedDatabase } from './start-embedded.ts';

const LOOK_EVERY_MS = 1_000;

/** A supervised service that revives `database` until it is aborted. It does not stop it. */
export function embeddedKeeper(database: EmbeddedDatabase, log: Logger): Service {
  return {
    name: 'embedded-keeper',
    run: async (signal) => {
      while (!signal.aborted) {
        if (await database.revive()) log.warn({ port: database.port }, 'the embedded database had died: started again');
        await pause(LOOK_EVERY_MS, signal);
      }
    },
  };
}

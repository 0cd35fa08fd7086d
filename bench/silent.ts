// Owns a logger that says nothing, for what a bench prepares; measured servers log as they always do.

import type { Logger } from '../server/lib/logger.ts';

export const SILENT: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};

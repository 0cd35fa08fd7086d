// Owns how the tests run. Three workers on the two cores that machines have: many tests wait, for timeouts and processes.

import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/rig/global-setup.ts'],
    setupFiles: ['test/rig/environment.ts', 'test/rig/leaks.ts'],
    pool: 'forks',
    maxWorkers: 3,
    testTimeout: 30_000,
    hookTimeout: 30_000,
    teardownTimeout: 20_000,
  },
});

// Owns the beginning and the end of a test run: the PostgreSQL servers, with a migrated database to
// copy from, handed to the test files by vitest.

import type { TestProject } from 'vitest/node';
import { dropMigratedTemplate, withMigratedTemplate } from './migrated-template.ts';
import { startServers, type TestServer } from './servers.ts';

declare module 'vitest' {
  interface ProvidedContext {
    testServers: readonly TestServer[];
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const running = await startServers((line) => console.log(line));
  try {
    project.provide('testServers', await Promise.all(running.servers.map(withMigratedTemplate)));
  } catch (error) {
    await running.stop();
    throw error;
  }
  return async () => {
    await Promise.all(running.servers.map(dropMigratedTemplate));
    await running.stop();
  };
}

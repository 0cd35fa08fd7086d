// Owns the beginning and the end of a test run: the PostgreSQL servers, with migrated databases to
// copy from, handed to the test files by vitest.

import type { TestProject } from 'vitest/node';
import { dropMigratedTemplates, withMigratedTemplates } from './migrated-template.ts';
import { startServers, type TestServer } from './servers.ts';

declare module 'vitest' {
  interface ProvidedContext {
    testServers: readonly TestServer[];
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const running = await startServers((line) => console.log(line));
  try {
    project.provide('testServers', await Promise.all(running.servers.map(withMigratedTemplates)));
  } catch (error) {
    await running.stop();
    throw error;
  }
  return async () => {
    await Promise.all(running.servers.map(dropMigratedTemplates));
    await running.stop();
  };
}

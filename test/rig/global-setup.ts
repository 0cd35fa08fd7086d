// Owns the beginning and the end of a test run: the PostgreSQL servers, handed to the test files by vitest.

import type { TestProject } from 'vitest/node';
import { startServers, type TestServer } from './servers.ts';

declare module 'vitest' {
  interface ProvidedContext {
    testServers: readonly TestServer[];
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const running = await startServers((line) => console.log(line));
  project.provide('testServers', running.servers);
  return () => running.stop();
}

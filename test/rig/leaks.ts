// Owns the check after each test file: every database dropped, every connection closed before, and no
// timer, socket, server or child process left that was not there when the file began. A vitest setup file.

import { afterAll } from 'vitest';
import { databaseLedger } from './postgres.ts';
import { until } from './until.ts';

/** What keeps a process alive and is made by the code under test; the runner's own pipes are no part of it. */
const WATCHED_KINDS = [
  'Timeout',
  'Immediate',
  'TCPSocketWrap',
  'TCPServerWrap',
  'TLSWrap',
  'ProcessWrap',
  'FSEventWrap',
];
const SETTLE_MS = 2_000;

const before = countResources();

afterAll(async () => {
  const complaints = [...databaseLedger.complaints.splice(0)];
  for (const name of databaseLedger.open) complaints.push(`the database ${name} was not dropped`);
  complaints.push(...(await leftResources()));
  if (complaints.length > 0) throw new Error(`this test file leaks: ${complaints.join('; ')}`);
});

async function leftResources(): Promise<string[]> {
  const growth = (): string[] => {
    const now = countResources();
    return WATCHED_KINDS.filter((kind) => count(now, kind) > count(before, kind)).map(
      (kind) => `${count(now, kind) - count(before, kind)} × ${kind}`,
    );
  };
  return until(() => growth().length === 0, { timeoutMs: SETTLE_MS, everyMs: 50 }).then(
    () => [],
    () => growth(),
  );
}

function countResources(): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const kind of process.getActiveResourcesInfo()) counts.set(kind, count(counts, kind) + 1);
  return counts;
}

function count(counts: ReadonlyMap<string, number>, kind: string): number {
  return counts.get(kind) ?? 0;
}

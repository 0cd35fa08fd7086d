// The taking of incoming webhooks over a database that keeps them waiting: how many may wait is bounded, and those that
// did are all taken.

import { afterAll, beforeAll, expect, it } from 'vitest';
import { SourceIntake } from '../../server/webhooks/source-intake.ts';
import { type MigratedDatabase, migratedDatabase } from '../db/migrated.ts';
import { newestPostgres } from '../rig/postgres.ts';

const WAITING = 256;

let host: MigratedDatabase;
let sourceId: string;
beforeAll(async () => {
  host = await migratedDatabase(newestPostgres());
  const [source] = await host.sql<{ id: string }>(
    `insert into realtime.sources (name, slug, token_hash, plan) values ('a', 'a-slug-of-some-length', 'a', 'metered') returning id`,
  );
  sourceId = source?.id as string;
});
afterAll(() => host.close());

it('of more than may wait for the database is refused at once, and the rest is taken', {
  timeout: 60_000,
}, async () => {
  const intake = new SourceIntake(host.db.pool);
  const accept = () => intake.accept({ sourceId, receivedAt: '2024-01-15T10:30:00Z', headers: {}, payload: '1' });
  expect(await accept()).toMatchObject({ kind: 'accepted' });
  const holder = await host.database.connect();
  try {
    await holder.query('begin');
    await holder.query('select from realtime.source_usage for update');
    const waiting = Array.from({ length: WAITING }, accept);
    expect(await accept()).toEqual({ kind: 'unavailable' });
    await holder.query('commit');
    const kinds = new Set((await Promise.all(waiting)).map(({ kind }) => kind));
    expect([...kinds]).toEqual(['accepted']);
  } finally {
    await holder.end();
  }
  const [usage] = await host.sql('select accepted::int from realtime.source_usage');
  expect(usage).toEqual({ accepted: WAITING + 1 });
});

it('is unknown where the source went while it came in, and where the slug is none', async () => {
  const intake = new SourceIntake(host.db.pool);
  const gone = { sourceId: '00000000-0000-4000-8000-000000000000', receivedAt: '', headers: {}, payload: '1' };
  expect(await intake.accept(gone)).toEqual({ kind: 'unknown' });
  for (const slug of ['', 'short', 'a-slug-of-other-length', '\0'.repeat(20), "' or true -- and more"])
    expect(await intake.find(slug)).toEqual({ kind: 'unknown' });
  expect(await intake.find('a-slug-of-some-length')).toMatchObject({ kind: 'found', source: { id: sourceId } });
});

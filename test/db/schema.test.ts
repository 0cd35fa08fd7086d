import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { describeEachPostgres } from '../rig/postgres.ts';
import { migratedDatabase } from './migrated.ts';

const SCHEMA_FILE = join(import.meta.dirname, '..', '..', 'server', 'db', 'schema.ts');

describeEachPostgres('schema.ts', (postgres) => {
  it('names exactly the tables and columns that the database has', async () => {
    await using host = await migratedDatabase(postgres);
    const text = await readFile(SCHEMA_FILE, 'utf8');
    const tables = [...text.matchAll(/'realtime\.(\w+)': (\w+);/g)];
    const written = tables.flatMap(([, table, type]) => {
      const body = new RegExp(`type ${type} = \\{\\n([^}]*)\\}`).exec(text)?.[1] ?? '';
      return [...body.matchAll(/^ {2}(\w+):/gm)].map(([, column]) => `${table}.${column}`);
    });
    const real = await host.sql<{ name: string }>(
      `select c.relname || '.' || a.attname as name from pg_class c join pg_attribute a on a.attrelid = c.oid
       where c.relnamespace = 'realtime'::regnamespace and c.relkind in ('r', 'p', 'v') and not c.relispartition
         and a.attnum > 0 and not a.attisdropped and c.relname not in ('migrations', 'repeatables')`,
    );
    expect(written.sort()).toEqual(real.map(({ name }) => name).sort());
  });

  it('Kysely reads and writes through it, positions as LSNs and counts as bigints', async () => {
    await using host = await migratedDatabase(postgres);
    const { kysely } = host.db;
    await kysely.updateTable('realtime.checkpoint').set({ handled: '16/B374D848', epoch: 7n }).execute();
    const checkpoint = await kysely
      .selectFrom('realtime.checkpoint')
      .select(['handled', 'epoch', 'term'])
      .executeTakeFirst();
    expect(checkpoint).toEqual({ handled: 0x16b374d848n, epoch: 7n, term: 0n });
    const inserted = await kysely
      .insertInto('realtime.channels')
      .values({ pattern: 'a:*', webhook_urls: ['http://x'] })
      .returning(['pattern', 'webhook_urls', 'enabled'])
      .execute();
    expect(inserted).toEqual([{ pattern: 'a:*', webhook_urls: ['http://x'], enabled: true }]);
  });
});

// "Database Change Notifications" of the reference page against a real table: the subscribe frame as printed,
// and every printed frame with its fields, on the table that the page speaks of.

import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { createDemoTable } from '../../scripts/demo-table.ts';
import { openPool } from '../../server/db/pools.ts';
import { describeNewestPostgres } from '../rig/postgres.ts';
import { collectingLogger, startTestApp, type TestApp } from './test-app.ts';

type Printed = { readonly payload: { readonly new: object | null; readonly old: object | null } };

const printed = JSON.parse(
  readFileSync(new URL('../fixtures/database-change-notifications.json', import.meta.url), 'utf8'),
) as { readonly subscribe: object } & Readonly<Record<'insert' | 'update' | 'delete', Printed>>;

const ID = '248373e1-0aea-45ce-8844-5ef259203749';
const CREATED_AT = '2024-01-15T10:30:00Z';

async function demoApp(postgres: Parameters<typeof startTestApp>[0]): Promise<TestApp> {
  const app = await startTestApp(postgres);
  const log = collectingLogger([]);
  const opened = openPool({
    connectionString: app.database.url,
    applicationName: 'demo',
    max: 1,
    statementTimeoutMs: 0,
    log,
  });
  await createDemoTable(opened.pool);
  await opened.close();
  return app;
}

/** The printed frame with the commit time left to the clock; whole rows where it prints some of their columns. */
function fieldsOf({ payload, ...frame }: Printed): object {
  const { commit_timestamp: _, ...rest } = payload as Printed['payload'] & { commit_timestamp?: string };
  return { ...frame, payload: rest };
}

describeNewestPostgres('the printed change notifications', (postgres) => {
  it('arrive for the printed subscription: an insert', async () => {
    await using app = await demoApp(postgres);
    const client = await app.client(app.token('authenticated'));
    client.send(printed.subscribe);
    await client.next('subscribed');
    await app.database.query('insert into posts values ($1, $2, $3, $4)', [ID, 'New Post', 'Hello world', CREATED_AT]);
    expect((await client.received(1))[0]).toMatchObject(fieldsOf(printed.insert));
  });

  it('arrive for an update and a delete, with the old row', async () => {
    await using app = await demoApp(postgres);
    await app.database.query('insert into posts values ($1, $2)', [ID, 'Old Title']);
    const client = await app.client(app.token('authenticated'));
    await client.subscribe('db:posts');
    await app.database.query(`update posts set title = 'Updated Title'`);
    await app.database.query(`update posts set title = 'Deleted Post'`);
    await app.database.query('delete from posts');
    const [update, , removal] = await client.received(3);
    expect(update).toMatchObject(fieldsOf(printed.update));
    expect(removal).toMatchObject(fieldsOf(printed.delete));
  });
});

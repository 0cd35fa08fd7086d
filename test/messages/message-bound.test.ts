import { expect, it } from 'vitest';
import { settleMessageBound } from '../../server/messages/message-bound.ts';
import { migratedDatabase } from '../db/migrated.ts';
import { newestPostgres } from '../rig/postgres.ts';

it('the bound of a message is put into the database, and only when it is another', async () => {
  await using host = await migratedDatabase(newestPostgres());
  const settings = () => host.sql('select max_message_bytes as bytes, xmin::text as version from realtime.settings');
  const [before] = await settings();
  await settleMessageBound(host.db.pool, 262_144);
  expect(await settings()).toEqual([before]);
  await settleMessageBound(host.db.pool, 1_024);
  const [after] = await settings();
  expect(after).toMatchObject({ bytes: 1_024 });
  await settleMessageBound(host.db.pool, 1_024);
  expect(await settings()).toEqual([after]);
});

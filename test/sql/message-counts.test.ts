// What is removed from history is counted as removed, whoever does it, and nobody waits for another.

import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { type MigratedDatabase, migratedDatabase } from '../db/migrated.ts';
import { describeEachPostgres } from '../rig/postgres.ts';

const AT = '2024-01-15T10:30:20Z';

describeEachPostgres('the counts of history', (postgres) => {
  let host: MigratedDatabase;
  beforeAll(async () => {
    host = await migratedDatabase(postgres);
    await host.sql(`insert into realtime.channels (pattern) values ('a')`);
  });
  afterAll(() => host.close());
  beforeEach(() => host.sql('truncate realtime.messages, realtime.changes'));

  /** Inserts a message as if long ago; with a place in history, if it gets a position. */
  const message = async (position: string | null): Promise<string> => {
    const id = randomUUID();
    await host.sql(`with replica as (select set_config('session_replication_role', 'replica', true))
      insert into realtime.messages (id, channel_id, channel_name, event_name, payload, sender_type, created_at)
      select '${id}', c.id, 'a', 'e', '1', 'system', '${AT}' from realtime.channels c, replica`);
    if (position !== null) await place(id, position);
    return id;
  };
  const place = (id: string, position: string) => host.sql(PLACE, [[id], [AT], [position], [0]]);
  const PLACE = 'select realtime.journal_messages($1, $2, $3, $4)';
  const counts = (): Promise<Record<string, unknown>[]> =>
    host.sql(`select width_s as s, is_removed as removed, message_count::int as n, first_position as first, last_position as last
      from realtime.message_counts where source = 'messages' order by 1, 2`);

  it('say by minute and by hour what an admin role has deleted', async () => {
    for (const position of ['p1', 'p2', 'p3']) await message(position);
    await message(null);
    const client = await host.database.connect();
    try {
      await client.query(
        `set role service_role; delete from realtime.messages where position > 'p1' or position is null`,
      );
    } finally {
      await client.end();
    }
    const had = { removed: false, n: 3, first: 'p1', last: 'p3' };
    const lost = { removed: true, n: 2, first: 'p2', last: 'p3' };
    expect(await counts()).toEqual(
      [60, 3600].flatMap((s) => [
        { s, ...had },
        { s, ...lost },
      ]),
    );
  });

  it('are not touched by a deletion that finds nothing, or nothing that has its place', async () => {
    await message('p1');
    await message(null);
    const before = await counts();
    await host.sql(`delete from realtime.messages where position is null`);
    await host.sql(`delete from realtime.messages where false`);
    await host.sql(`delete from realtime.changes where position > 'p'`);
    expect(await counts()).toEqual(before);
  });

  it('of a deletion that is taken back stay', async () => {
    await message('p1');
    await host
      .sql('do $$ begin delete from realtime.messages; raise exception $e$no$e$; end $$')
      .catch(() => undefined);
    expect(await counts()).toHaveLength(2);
  });

  it('keep neither the journal waiting for a deletion, nor the other way round', async () => {
    await message('p1');
    const unplaced = await message(null);
    const [deleting, journaling] = [await host.database.connect(), await host.database.connect()];
    try {
      for (const client of [deleting, journaling]) await client.query(`begin; set local statement_timeout = '2s'`);
      await deleting.query('delete from realtime.messages where position is not null');
      await journaling.query(PLACE, [[unplaced], [AT], ['p2'], [0]]);
      await journaling.query('commit');
      await deleting.query('commit');
    } finally {
      await Promise.all([deleting.end(), journaling.end()]);
    }
    expect((await counts()).map(({ removed, n }) => [removed, n])).toEqual([
      [false, 2],
      [true, 1],
      [false, 2],
      [true, 1],
    ]);
  });

  it('go where everything was removed again, and only there', async () => {
    await message('p1');
    await host.sql('delete from realtime.messages');
    expect(await counts()).toHaveLength(4);
    expect(await host.sql('select realtime.settle_counts() as rows')).toEqual([{ rows: 4n }]);
    expect(await counts()).toEqual([]);
    await message('p1');
    await message('p2');
    await host.sql(`delete from realtime.messages where position = 'p1'`);
    expect(await host.sql('select realtime.settle_counts() as rows')).toEqual([{ rows: 0n }]);
  });

  it('go with TRUNCATE, each table’s own', async () => {
    await message('p1');
    await host.sql(`select realtime.add_message_counts('changes', false, array[now()], array['t'], array['INSERT'], array[1::bigint],
      array[0::bigint], array[0::bigint], array['p'], array['p'])`);
    await host.sql('truncate realtime.messages');
    expect(await counts()).toEqual([]);
    expect(await host.sql(`select count(*)::int as n from realtime.message_counts`)).toEqual([{ n: 2 }]);
  });
});

// Partitions of history: closed as the roots are, whatever the database gives away by default, and never mistaken.

import { afterAll, beforeAll, expect, it } from 'vitest';
import { migrate } from '../../server/db/migrate.ts';
import { collectingLog, type MigratedDatabase, migratedDatabase, openTestPool } from '../db/migrated.ts';
import { STANDARD } from '../rig/migrated-template.ts';
import { describeEachPostgres } from '../rig/postgres.ts';

describeEachPostgres('a partition of history', (postgres) => {
  let host: MigratedDatabase;
  beforeAll(async () => {
    host = await migratedDatabase(postgres);
    await host.sql(`insert into realtime.channels (pattern) values ('a')`);
  });
  afterAll(() => host.close());

  const make = async (parent: string, day: string): Promise<unknown> =>
    (await host.sql('select realtime.make_partition($1, $2) as made', [parent, day]))[0]?.made;

  it.each(['messages', 'changes'])(
    'of %s has what the default one has: columns, keys, checks, indexes',
    async (parent) => {
      await make(parent, '2026-11-24');
      const [default_, made] = await Promise.all(
        [`${parent}_default`, `${parent}_20261124`].map((name) =>
          host.sql(`
          select 'column' as kind, attname || ' ' || format_type(atttypid, atttypmod) || ' ' || attnotnull
            || coalesce(' ' || pg_get_expr(d.adbin, d.adrelid), '') || ' ' || coalesce(col.collname, '') as what
          from pg_attribute a left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
            left join pg_collation col on col.oid = a.attcollation
          where attrelid = 'realtime.${name}'::regclass and attnum > 0
          union all
          select 'constraint', conname || ' ' || pg_get_constraintdef(oid) from pg_constraint
          where conrelid = 'realtime.${name}'::regclass and contype <> 'p'
          union all
          select 'index', regexp_replace(pg_get_indexdef(indexrelid), '^.* using', 'using', 'i') || ' ' || (inhparent is not null)
          from pg_index left join pg_inherits on inhrelid = indexrelid where indrelid = 'realtime.${name}'::regclass
          union all
          select 'trigger', tgname || ' ' || tgfoid::regproc from pg_trigger where tgrelid = 'realtime.${name}'::regclass
          order by 1, 2`),
        ),
      );
      expect(made).toEqual(default_);
      expect(made?.length).toBeGreaterThan(12);
    },
  );

  it('is closed: row security is on, and nobody has a right on it, default privileges or not', async () => {
    await using database = await postgres.createDatabase();
    await database.query(`alter default privileges grant all on tables to public, authenticated, service_role`);
    const { pool, close } = openTestPool(database.url);
    try {
      await migrate({ pool, log: collectingLog(), ...STANDARD });
      await pool.query(
        `select realtime.make_partition('messages', '2026-11-24'), realtime.make_partition('changes', '2026-11-24')`,
      );
      const { rows } = await pool.query(`
        select relrowsecurity as secured, relacl::text as rights, relowner = (select relowner from pg_class where oid = 'realtime.messages'::regclass) as owned
        from pg_class where relname in ('messages_20261124', 'changes_20261124')`);
      expect(rows).toHaveLength(2);
      for (const row of rows) {
        expect(row).toMatchObject({ secured: true, owned: true });
        expect(row.rights).not.toMatch(/authenticated|service_role|[{,]=/);
      }
    } finally {
      await close();
    }
  });

  it('is one day of UTC, whatever the zone and the date style of the session', async () => {
    const client = await host.database.connect();
    try {
      await client.query(`set timezone = 'Asia/Kathmandu'; set datestyle = 'SQL, DMY'`);
      await client.query(`select realtime.make_partition('changes', '2026-10-25')`);
    } finally {
      await client.end();
    }
    const [bound] = await host.sql(
      `select pg_get_expr(relpartbound, oid) as bound from pg_class where relname = 'changes_20261025'`,
    );
    expect(bound?.bound).toBe(`FOR VALUES FROM ('2026-10-25 00:00:00+00') TO ('2026-10-26 00:00:00+00')`);
  });

  it('is made once, and not where rows of the day lie in the default one; nothing is left of that', async () => {
    expect(await make('changes', '2026-01-01')).toBe(true);
    expect(await make('changes', '2026-01-01')).toBe(false);
    await host.sql(`insert into realtime.changes (position, committed_at, relation, op, payload)
      values ('a', '2026-01-02 23:59:59.999999Z', 't', 'INSERT', '{}')`);
    expect(await make('changes', '2026-01-02')).toBe(false);
    expect(await make('changes', '2026-01-03')).toBe(true);
    expect(await host.sql(`select to_regclass('realtime.changes_20260102') as left_over`)).toEqual([
      { left_over: null },
    ]);
  });

  it('is dropped with the rows and the counts of its day alone', async () => {
    await make('messages', '2026-02-01');
    await make('messages', '2026-02-02');
    await host.sql(`select realtime.add_message_counts(s.source, r, array[t.at], array['x'], array['e'], array[2::bigint + (not r)::int],
        array[0::bigint], array[0::bigint], array['p'], array['p'])
      from (values ('messages'), ('changes')) s (source), (values (true), (false)) v (r),
        (values (timestamptz '2026-01-31 23:59:59.9Z'), ('2026-02-01Z'), ('2026-02-01 23:59:59.9Z'), ('2026-02-02Z')) t (at)`);
    expect(await host.sql(`select realtime.drop_partition('messages', '2026-02-01') as rows`)).toEqual([{ rows: 2n }]);
    expect(await host.sql(`select realtime.drop_partition('messages', '2026-02-01') as rows`)).toEqual([
      { rows: null },
    ]);
    expect(
      await host.sql(`select source, (bucket at time zone 'UTC')::date::text as day, count(*)::int as count from realtime.message_counts
        where channel_key = 'x' group by 1, 2 order by 1, 2`),
    ).toEqual([
      { source: 'changes', day: '2026-01-31', count: 4 },
      { source: 'changes', day: '2026-02-01', count: 8 },
      { source: 'changes', day: '2026-02-02', count: 4 },
      { source: 'messages', day: '2026-01-31', count: 4 },
      { source: 'messages', day: '2026-02-02', count: 4 },
    ]);
    expect(await host.sql(`select to_regclass('realtime.messages_20260201') as left_over`)).toEqual([
      { left_over: null },
    ]);
  });

  it('is no other table', async () => {
    expect((await host.failure(`select realtime.make_partition('channels', '2026-02-01')`)).code).toBe('22023');
    await host.sql('create table realtime.messages_20260301 ()');
    expect((await host.failure(`select realtime.make_partition('messages', '2026-03-01')`)).code).toBe('42P07');
    expect(await host.sql(`select realtime.drop_partition('messages', '2026-03-01') as rows`)).toEqual([
      { rows: null },
    ]);
    await host.sql('drop table realtime.messages_20260301');
  });

  it('of messages settles what is published into it', async () => {
    await host.sql(`select realtime.make_partition('messages', (now() at time zone 'UTC')::date)`);
    await host.sql(`select realtime.publish('a', 'e', '1')`);
    const [row] = await host.sql(
      `select sender_type, tableoid::regclass::text <> 'realtime.messages_default' as apart from realtime.messages`,
    );
    expect(row).toEqual({ sender_type: 'system', apart: true });
  });
});

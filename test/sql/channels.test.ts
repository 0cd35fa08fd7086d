import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { type MigratedDatabase, migratedDatabase } from '../db/migrated.ts';
import { describeEachPostgres } from '../rig/postgres.ts';

describeEachPostgres('realtime.deciding_channel', (postgres) => {
  let host: MigratedDatabase;
  beforeAll(async () => {
    host = await migratedDatabase(postgres);
  });
  afterAll(() => host.close());
  beforeEach(() => host.sql('delete from realtime.channels'));

  const channel = (pattern: string, rest: Record<string, unknown> = {}): Promise<unknown> => {
    const row: Record<string, unknown> = { pattern, ...rest };
    const columns = Object.keys(row);
    const values = columns.map((_, index) => `$${index + 1}`);
    return host.sql(
      `insert into realtime.channels (${columns.join(', ')}) values (${values.join(', ')})`,
      Object.values(row),
    );
  };
  const decided = async (name: string): Promise<Record<string, unknown> | undefined> =>
    (await host.sql('select * from realtime.deciding_channel($1)', [name]))[0];
  const pattern = async (name: string): Promise<unknown> => (await decided(name))?.pattern;

  it('exact comes before pattern, longer literal before shorter', async () => {
    for (const each of ['*', 'order:*', 'order:*:items', 'order:42', 'o*']) await channel(each);
    expect(await Promise.all(['order:42', 'order:43', 'order:43:items', 'oak', 'x'].map(pattern))).toEqual([
      'order:42',
      'order:*',
      'order:*:items',
      'o*',
      '*',
    ]);
  });

  it('of equally long ones the older decides', async () => {
    await channel('*ab', { created_at: '2024-02-01' });
    await channel('ab*', { created_at: '2024-01-01' });
    expect(await pattern('ab-ab')).toBe('ab*');
  });

  it('a wildcard stands for one or more characters, colons included, and % is the same', async () => {
    await channel('chat:*');
    await channel('room:%:x');
    expect(
      await Promise.all(['chat:', 'chat:a', 'chat:a:b', 'room::x', 'room:1:x', 'room:1:2:x'].map(pattern)),
    ).toEqual([undefined, 'chat:*', 'chat:*', undefined, 'room:%:x', 'room:%:x']);
  });

  it('LIKE characters in names are literal, and case matters', async () => {
    await channel('a_b:*');
    expect(await Promise.all(['axb:1', 'a_b:1', 'A_b:1'].map(pattern))).toEqual([undefined, 'a_b:*', undefined]);
  });

  it('a disabled row decides: no fall-through', async () => {
    await channel('order:*');
    await channel('order:secret', { enabled: false });
    expect(await decided('order:secret')).toMatchObject({ pattern: 'order:secret', enabled: false });
  });

  it('settings that are null come from the next less specific enabled match', async () => {
    await channel('*', { persist: false, retention_days: 30 });
    await channel('order:*', { persist: true, retention_days: 3, enabled: false });
    await channel('order:4*', { retention_days: null });
    expect(await decided('order:42')).toMatchObject({ pattern: 'order:4*', persist: false, retention_days: 30 });
  });

  it('without any word on it a channel persists, with the global retention', async () => {
    await channel('a');
    expect(await decided('a')).toMatchObject({ persist: true, retention_days: null });
  });

  it('webhook URLs are inherited, and an empty list is none', async () => {
    const urls = async (name: string) =>
      (await host.sql('select realtime.channel_webhook_urls($1) as urls', [name]))[0]?.urls;
    await channel('*', { webhook_urls: ['http://a'] });
    await channel('order:*');
    await channel('order:quiet', { webhook_urls: [] });
    await channel('closed', { enabled: false });
    expect(await Promise.all(['order:1', 'order:quiet', 'closed'].map(urls))).toEqual([['http://a'], [], null]);
  });

  it('one pattern is one row, whichever wildcard it uses', async () => {
    await channel('order:*');
    expect(await host.failure(`insert into realtime.channels (pattern) values ('order:%')`)).toMatchObject({
      code: '23505',
    });
  });

  it.each(['', ' ', 'a b', 'a\nb', 'x'.repeat(201), 'db:', 'db:a.b.c', 'a"b'])(
    'refuses the pattern %j',
    async (bad) => {
      await expect(channel(bad)).rejects.toMatchObject({ code: bad.startsWith('db:') ? '42P01' : '23514' });
    },
  );

  it('accepts letters of any script', async () => {
    await channel('комната:*');
    expect(await pattern('комната:１')).toBe('комната:*');
  });

  it('updated_at follows an update', async () => {
    await channel('a', { updated_at: '2020-01-01' });
    await host.sql(`update realtime.channels set description = 'x'`);
    expect(await host.sql(`select updated_at > now() - interval '1 minute' as fresh from realtime.channels`)).toEqual([
      { fresh: true },
    ]);
  });
});

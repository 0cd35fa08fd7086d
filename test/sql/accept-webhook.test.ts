// The statement that takes an incoming webhook: what it writes, that it counts exactly, and whom it lets in.

import { afterAll, beforeAll, expect, it } from 'vitest';
import { failureOf, type MigratedDatabase, migratedDatabase } from '../db/migrated.ts';
import { describeEachPostgres } from '../rig/postgres.ts';

describeEachPostgres('realtime.accept_webhook', (postgres) => {
  let host: MigratedDatabase;
  beforeAll(async () => {
    host = await migratedDatabase(postgres);
  });
  afterAll(() => host.close());

  let made = 0;
  const makeSource = async (plan = 'free', limit: number | null = null): Promise<string> => {
    made += 1;
    const [row] = await host.sql<{ id: string }>(
      `insert into realtime.sources (name, slug, token_hash, plan, monthly_limit) values ($1, $1, $1::text::bytea, $2, $3) returning id`,
      [`s${made}`, plan, limit],
    );
    return row?.id as string;
  };
  const accept = async (id: string, payload = '{"a": 1}') =>
    (
      await host.sql<{ outcome: string; message_id: string | null }>(
        `select * from realtime.accept_webhook($1, '2024-01-15T10:30:00Z', '{"x": "y"}', $2)`,
        [id, payload],
      )
    )[0];
  const used = async (id: string): Promise<object | undefined> =>
    (
      await host.sql(
        'select accepted::int, monthly_limit, month::text as month from realtime.source_usage where source_id = $1',
        [id],
      )
    )[0];

  it('publishes as the system, with the messageId in the payload, and counts', async () => {
    const id = await makeSource();
    const answer = await accept(id);
    expect(answer?.outcome).toBe('accepted');
    const rows = await host.sql(
      'select id, event_name, sender_type, sender_id, connection_id, payload from realtime.messages where channel_name = $1',
      [`in:${id}`],
    );
    const payload = JSON.stringify({ id: answer?.message_id, slug: `s${made}`, type: 'webhook' });
    expect(rows).toMatchObject([
      { id: answer?.message_id, event_name: 'webhook', sender_type: 'system', sender_id: null, connection_id: null },
    ]);
    expect(JSON.parse(String(rows[0]?.payload))).toEqual({
      ...JSON.parse(payload),
      ...{ receivedAt: '2024-01-15T10:30:00Z', headers: { x: 'y' }, payload: { a: 1 } },
    });
    const month = `${new Date().toISOString().slice(0, 7)}-01`;
    expect(await used(id)).toEqual({ accepted: 1, monthly_limit: 1_000, month });
  });

  it('takes as many as the limit says when they come at once, and none for a limit of 0', async () => {
    const id = await makeSource('metered', 7);
    const outcomes = (await Promise.all(Array.from({ length: 20 }, () => accept(id)))).map((answer) => answer?.outcome);
    expect(outcomes.filter((outcome) => outcome === 'accepted')).toHaveLength(7);
    expect(outcomes.filter((outcome) => outcome === 'used_up')).toHaveLength(13);
    expect(await used(id)).toMatchObject({ accepted: 7, monthly_limit: 7 });
    const none = await makeSource('free', 0);
    expect(await accept(none)).toEqual({ outcome: 'used_up', message_id: null });
    expect(await used(none)).toBeUndefined();
  });

  it('counts nothing where the message cannot be written', async () => {
    const id = await makeSource();
    expect(await failureOf(accept(id, JSON.stringify('x'.repeat(300_000))))).toMatchObject({ code: '54000' });
    expect(await used(id)).toBeUndefined();
    await host.sql('update realtime.channels set enabled = false where pattern = $1', [`in:${id}`]);
    expect(await accept(id)).toEqual({ outcome: 'closed', message_id: null });
    await host.sql('update realtime.sources set enabled = false where id = $1', [id]);
    expect(await accept(id)).toEqual({ outcome: 'unknown', message_id: null });
    expect(await used(id)).toBeUndefined();
  });

  it('is for nobody but the server', async () => {
    const id = await makeSource();
    const call = `select realtime.accept_webhook('${id}', '', '{}', '1')`;
    for (const role of ['anon', 'authenticated', 'service_role'])
      expect(await host.as(role, { sub: 'a', role }, (client) => failureOf(client.query(call))), role).toMatchObject({
        code: '42501',
      });
  });

  it('a source has a channel for as long as it is there', async () => {
    const id = await makeSource();
    const channels = (): Promise<object[]> =>
      host.sql('select enabled from realtime.channels where pattern = $1', [`in:${id}`]);
    expect(await channels()).toEqual([{ enabled: true }]);
    await host.sql('delete from realtime.sources where id = $1', [id]);
    expect(await channels()).toEqual([]);
  });

  it('a free source cannot have more than the plan', async () => {
    expect(await failureOf(makeSource('free', 1_001))).toMatchObject({ code: '23514' });
  });
});

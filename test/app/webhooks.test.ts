// A webhook through the whole server: from a publication to a receiver, and back into history.

import { Webhook } from 'standardwebhooks';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeNewestPostgres } from '../rig/postgres.ts';
import { until } from '../rig/until.ts';
import { openReceiver, type Receiver } from '../webhooks/webhook-stage.ts';
import { startTestApp, type TestApp } from './test-app.ts';

describeNewestPostgres('a webhook', (postgres) => {
  let receiver: Receiver;
  let app: TestApp;
  beforeAll(async () => {
    receiver = await openReceiver();
    app = await startTestApp(postgres, {
      env: { ROWCAST_WEBHOOK_ALLOW: '127.0.0.1', ROWCAST_WEBHOOK_RETRY_INITIAL: '20ms' },
      sql: `insert into realtime.channels (pattern, webhook_urls) values ('order:*', '{${receiver.url}}')`,
    });
  });
  afterAll(async () => {
    await app[Symbol.asyncDispose]();
    await receiver[Symbol.asyncDispose]();
  });
  const one = async (text: string): Promise<Record<string, unknown>> => {
    const client = await app.database.connect();
    try {
      return (await client.query(text)).rows[0];
    } finally {
      await client.end();
    }
  };

  it('is sent for a publication, signed, again after a failure, and counted', async () => {
    const statuses = [500, 200];
    receiver.answer = () => statuses.shift() ?? 200;
    const { id } = await one(`select realtime.publish('order:1', 'paid', '{"a": 1}') as id`);
    await until(() => receiver.received.length === 2);
    const { secret } = await one('select secret from realtime.webhook_endpoints');
    for (const { headers, body } of receiver.received) {
      const sent = new Webhook(String(secret)).verify(body, headers as Record<string, string>);
      expect(sent).toMatchObject({ messageId: id, channelName: 'order:1', event: 'paid', payload: { a: 1 } });
      expect(headers).toMatchObject({ 'x-insforge-message-id': id, 'x-rowcast-channel': 'order:1', 'webhook-id': id });
    }
    const counts = 'select wh_audience_count as made, wh_delivered_count as acknowledged from realtime.history';
    await until(async () => (await one(counts)).acknowledged === 1);
    expect(await one(counts)).toEqual({ made: 1, acknowledged: 1 });
  });

  it('that is under way when the server stops is waited for', async () => {
    const open = Promise.withResolvers<void>();
    receiver.answer = () => open.promise.then(() => 200);
    await one(`select realtime.publish('order:2', 'paid', '{}')`);
    await until(() => receiver.received.length === 3);
    const restarted = app.restart();
    open.resolve();
    await restarted;
    expect(await one(`select state, attempts from realtime.webhook_deliveries where channel_name = 'order:2'`)).toEqual(
      {
        state: 'delivered',
        attempts: 1,
      },
    );
  });
});

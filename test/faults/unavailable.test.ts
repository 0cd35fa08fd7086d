// REST while the database is away, or does not answer in time: every route that needs it says 503 `unavailable` and
// when to come back, none says 500, and all work again afterwards.

import { expect, it } from 'vitest';
import { readOperations } from '../app/openapi-operation.ts';
import { ask, type RestAnswer } from '../app/rest-client.ts';
import { startTestApp, type TestApp, untilStreaming } from '../app/test-app.ts';
import { newestPostgres } from '../rig/postgres.ts';
import { until } from '../rig/until.ts';
import { startOwnCluster } from './own-cluster.ts';

const UNKNOWN_ID = '00000000-0000-4000-8000-000000000000';
const UNKNOWN_SLUG = 'a'.repeat(32);
const BODIES: Readonly<Record<string, object>> = {
  'post /api/realtime/channels': { pattern: 'a:*' },
  'put /api/realtime/channels/{id}': { enabled: false },
  'post /api/realtime/publish': { channel: 'a:1', event: 'e', payload: 1 },
  'post /api/realtime/permissions/check': { claims: { role: 'authenticated' }, action: 'subscribe', channel: 'a:1' },
  'patch /api/realtime/config': { retentionDays: 7 },
  'post /api/realtime/sources': { name: 'shop' },
  'patch /api/realtime/sources/{id}': { name: 'shop' },
  'post /api/realtime/webhooks': { url: 'https://example.com/hook', pattern: 'a:*' },
  'patch /api/realtime/webhooks/{id}': { enabled: true },
  'post /api/realtime/webhooks/{id}/recover': { since: '2000-01-01T00:00:00Z' },
};
/** What this process knows by itself. */
const NEEDS_NOTHING = /^\w+ (\/livez|\/metrics|\/openapi\.json|\/realtime|.*\/ticket|.*\/connections.*|.*\/active)$/;

async function askAll(app: TestApp): Promise<readonly (readonly [string, RestAnswer])[]> {
  const baseUrl = `http://127.0.0.1:${app.app().port}`;
  const operations = (await readOperations(baseUrl)).filter(({ path }) => path.startsWith('/api/'));
  const answers = operations.map(async ({ name, method, path }) => {
    const filled = path
      .replace('deliveries/{id}', 'deliveries/1')
      .replace('{id}', UNKNOWN_ID)
      .replace('{table}', 'posts')
      .replace('{sub}', 'u')
      .replace('{slug}', UNKNOWN_SLUG);
    const query = name === 'delete /api/realtime/messages' ? '?before=2000-01-01T00:00:00Z' : '';
    return [name, await ask(app, method, filled + query, { body: BODIES[name] })] as const;
  });
  return Promise.all(answers);
}

it('answers 503 while the database is gone, and as ever once it is back', async () => {
  await using cluster = await startOwnCluster();
  await using app = await startTestApp(cluster.postgres, {
    sql: 'create table posts (id int primary key)',
    // Its webhooks lead elsewhere.
    env: { ROWCAST_CONNECT_TIMEOUT: '2s', ROWCAST_RECONNECT_MAX: '200ms', ROWCAST_WEBHOOKS: 'off' },
  });
  await cluster.kill();
  const away = await askAll(app);
  await cluster.revive();
  await until(async () => (await askAll(app)).every(([, { status }]) => status < 500), { what: 'answers again' });
  await untilStreaming(app);
  for (const [name, { status, headers, body }] of away) {
    if (NEEDS_NOTHING.test(name)) expect(status, name).toBeLessThan(500);
    else expect([status, body, headers.get('retry-after')], name).toMatchObject([503, { error: 'unavailable' }, '1']);
  }
  expect(away.filter(([, { status }]) => status === 503).length).toBeGreaterThan(12);
});

it('answers 503 when a statement takes too long', async () => {
  await using app = await startTestApp(newestPostgres(), { env: { ROWCAST_STATEMENT_TIMEOUT: '1s' } });
  const other = await app.database.connect();
  await other.query('begin; lock table realtime.channels in access exclusive mode');
  expect(await ask(app, 'GET', '/channels')).toMatchObject({ status: 503, body: { error: 'unavailable' } });
  await other.query('rollback');
  await other.end();
  expect(await ask(app, 'GET', '/channels')).toMatchObject({ status: 200 });
});

// What leases, order, batches, failures and stops come to, over a real database and real receivers.

import { Webhook } from 'standardwebhooks';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { AttemptResult } from '../../server/webhooks/attempt-result.ts';
import { giveUpOld, removeOld } from '../../server/webhooks/delivery-keeper.ts';
import { DeliveryQueue } from '../../server/webhooks/delivery-queue.ts';
import { describeNewestPostgres } from '../rig/postgres.ts';
import { until } from '../rig/until.ts';
import { openWebhookStage, type WebhookStage } from './webhook-stage.ts';

const FAILED: AttemptResult = {
  ...{ kind: 'failed', status: 500, error: 'x', responseHead: null, durationMs: 1, retryAfterMs: undefined },
};

describeNewestPostgres('the webhook worker', (postgres) => {
  let stage: WebhookStage;
  beforeAll(async () => {
    stage = await openWebhookStage(postgres);
  });
  afterAll(() => stage[Symbol.asyncDispose]());
  beforeEach(async () => {
    await stage.host.sql('truncate realtime.webhook_endpoints, realtime.webhook_deliveries, realtime.webhook_attempts');
    stage.receiver.received.length = 0;
    stage.receiver.answer = () => 200;
  });

  const untilStates = (endpoint: string, states: Record<string, number>) =>
    until(
      async () => {
        const now = await stage.states(endpoint);
        return JSON.stringify(Object.entries(now).sort()) === JSON.stringify(Object.entries(states).sort());
      },
      { what: JSON.stringify(states) },
    );
  const bodies = (): string[] => stage.receiver.received.map(({ body }) => body);
  const gate = () => Promise.withResolvers<void>();
  const set = (endpoint: string, columns: string) =>
    stage.host.sql(`update realtime.webhook_endpoints set ${columns} where id = $1`, [endpoint]);

  describe('one by one', () => {
    it('sends all, each with an attempt that is written down', async () => {
      const endpoint = await stage.endpoint();
      await stage.deliveries(endpoint, 3);
      await using _ = stage.run();
      await untilStates(endpoint, { delivered: 3 });
      expect(bodies().sort()).toEqual(['"1"', '"2"', '"3"']);
      const attempts = await stage.host.sql(
        `select distinct a.attempt, a.status, a.error, a.response_head, a.duration_ms >= 0 as timed, a.started_at <= now() as past
         from realtime.webhook_attempts a`,
      );
      expect(attempts).toEqual([
        { attempt: 1, status: 200, error: null, response_head: 'answered', timed: true, past: true },
      ]);
    });

    it('has no more under way than the endpoint and its plan allow', async () => {
      const open = gate();
      stage.receiver.answer = () => open.promise.then(() => 200);
      const standard = await stage.endpoint({ url: `${stage.receiver.url}/standard`, max_in_flight: 4 });
      const free = await stage.endpoint({ url: `${stage.receiver.url}/free`, plan: 'free', max_in_flight: 15 });
      await stage.deliveries(standard, 6);
      await stage.deliveries(free, 17);
      await using _ = stage.run();
      await using _other = stage.run();
      await until(() => stage.receiver.received.length === 19);
      open.resolve();
      await Promise.all([untilStates(standard, { delivered: 6 }), untilStates(free, { delivered: 17 })]);
      const most = (path: string): number =>
        Math.max(...stage.receiver.received.filter((one) => one.path === path).map(({ together }) => together));
      expect([most('/hook/standard'), most('/hook/free')]).toEqual([4, 15]);
    });

    it('keeps the order where it is asked for, through failures and two workers', async () => {
      let failures = 0;
      stage.receiver.answer = ({ body }) => (body === '"3"' && failures++ < 2 ? 500 : 200);
      const endpoint = await stage.endpoint({ ordered: true });
      await stage.deliveries(endpoint, 6);
      await using _ = stage.run();
      await using _other = stage.run();
      await untilStates(endpoint, { delivered: 6 });
      expect(bodies()).toEqual(['"1"', '"2"', '"3"', '"3"', '"3"', '"4"', '"5"', '"6"']);
      expect(Math.max(...stage.receiver.received.map(({ together }) => together))).toBe(1);
    });

    it('lets an ordered endpoint wait for what is not judged yet', async () => {
      const endpoint = await stage.endpoint({ ordered: true });
      await stage.deliveries(endpoint, 1, { state: 'unjudged', body: null });
      await stage.deliveries(endpoint, 1);
      const other = await stage.endpoint();
      await stage.deliveries(other, 1);
      await using _ = stage.run();
      await untilStates(other, { delivered: 1 });
      expect(await stage.states(endpoint)).toEqual({ unjudged: 1, pending: 1 });
      await stage.host.sql(`update realtime.webhook_deliveries set state = 'hidden' where state = 'unjudged'`);
      await untilStates(endpoint, { hidden: 1, delivered: 1 });
    });

    it('signs with the secret before the last rotation too, until its time is over', async () => {
      const secrets = [1, 2].map((byte) => `whsec_${Buffer.alloc(32, byte).toString('base64')}`);
      const [secret = '', previous_secret = ''] = secrets;
      const endpoint = await stage.endpoint({
        ...{ secret, previous_secret, previous_secret_expires_at: new Date(Date.now() + 60_000).toISOString() },
      });
      await stage.deliveries(endpoint, 1);
      await using _ = stage.run();
      await untilStates(endpoint, { delivered: 1 });
      await set(endpoint, 'previous_secret_expires_at = now()');
      await stage.deliveries(endpoint, 1);
      await untilStates(endpoint, { delivered: 2 });
      const verified = stage.receiver.received.map(({ body, headers }) =>
        secrets.map((known) => verifies(known, body, headers as Record<string, string>)),
      );
      expect(verified).toEqual([
        [true, true],
        [true, false],
      ]);
    });

    it('sends nothing to endpoints that are paused or turned off', async () => {
      const paused = await stage.endpoint({ state: 'paused' });
      const off = await stage.endpoint({ enabled: false });
      const well = await stage.endpoint();
      for (const endpoint of [paused, off, well]) await stage.deliveries(endpoint, 1);
      await using _ = stage.run();
      await untilStates(well, { delivered: 1 });
      await set(paused, `state = 'active'`);
      await untilStates(paused, { delivered: 1 });
      expect(await stage.states(off)).toEqual({ pending: 1 });
    });
  });

  describe('in batches', () => {
    it('sends what is there in order, at most a thousand at once, at the interval and never an empty one', async () => {
      const endpoint = await stage.endpoint({ mode: 'batch', batch_interval_ms: 150 });
      await stage.host.sql(
        `insert into realtime.webhook_deliveries (endpoint_id, message_id, source, channel_name, event_name, message_created_at, body)
         select $1, gen_random_uuid(), 'test', 'a', 'e', now(), convert_to(n::text, 'UTF8') from generate_series(1, 1200) n`,
        [endpoint],
      );
      const startedAt = performance.now();
      await using _ = stage.run();
      await untilStates(endpoint, { delivered: 1200 });
      expect(performance.now() - startedAt).toBeGreaterThan(140);
      await stage.deliveries(endpoint, 1);
      await untilStates(endpoint, { delivered: 1201 });
      const sent = bodies().map((body) => JSON.parse(body));
      expect(sent.map(({ length }) => length)).toEqual([1000, 200, 1]);
      expect(sent.flat().slice(0, 1200)).toEqual(Array.from({ length: 1200 }, (_, index) => index + 1));
    });

    it('sends a batch that failed again as it was, before anything else', async () => {
      let failures = 0;
      stage.receiver.answer = () => (failures++ < 2 ? 503 : 200);
      const endpoint = await stage.endpoint({ mode: 'batch', batch_interval_ms: 1 });
      await stage.deliveries(endpoint, 3);
      await using _ = stage.run();
      await until(() => failures > 0);
      await stage.deliveries(endpoint, 2);
      await untilStates(endpoint, { delivered: 5 });
      expect(bodies()).toEqual(['["1","2","3"]', '["1","2","3"]', '["1","2","3"]', '["1","2"]']);
      const ids = stage.receiver.received.map(({ headers }) => headers['webhook-id']);
      expect(new Set(ids).size).toBe(2);
      expect(new Set(ids.slice(0, 3)).size).toBe(1);
      expect(await stage.row(endpoint)).toMatchObject({ open_batch_id: null, consecutive_failures: 0 });
    });

    it('makes no batch larger than there is room for, but sends a message that is', async () => {
      const endpoint = await stage.endpoint({ mode: 'batch', batch_interval_ms: 1 });
      await stage.deliveries(endpoint, 5);
      const rules = { initialMs: 1, maxMs: 1, giveUpMs: 60_000, pauseAfterMs: 60_000 };
      const queue = new DeliveryQueue({ pool: stage.host.db.pool, holder: 'x', leaseMs: 60_000, rules });
      const result = { ...FAILED, kind: 'delivered' as const };
      const sent: string[] = [];
      for (const byteRoom of [1, 9, 1_000]) {
        const request = await until(async () => (await queue.lease(1, byteRoom))[0]);
        sent.push(request.body.toString());
        await queue.finish([{ request, result }]);
      }
      expect(sent).toEqual(['["1"]', '["2","3"]', '["4","5"]']);
    });
  });

  describe('what fails', () => {
    it('is sent again with the same id and bytes, and says why it failed', async () => {
      const statuses = [302, 404, 500, 200];
      stage.receiver.answer = () => statuses.shift() ?? 200;
      const endpoint = await stage.endpoint();
      const [id] = await stage.deliveries(endpoint, 1);
      await using _ = stage.run();
      await untilStates(endpoint, { delivered: 1 });
      const sent = stage.receiver.received.map(({ headers, body }) => `${headers['webhook-id']} ${body}`);
      expect(new Set(sent)).toEqual(new Set([`${id} "1"`]));
      const attempts = await stage.host.sql(
        'select attempt, status, error from realtime.webhook_attempts order by attempt',
      );
      expect(attempts.map(({ attempt, status, error }) => [attempt, status, error])).toEqual([
        [1, 302, 'answered 302: redirects are not followed'],
        [2, 404, 'answered 404'],
        [3, 500, 'answered 500'],
        [4, 200, null],
      ]);
    });

    it('waits as long as the receiver asks', async () => {
      stage.receiver.answer = (_, response) => {
        response.writeHead(429, { 'retry-after': '600' }).end();
        return undefined;
      };
      const endpoint = await stage.endpoint();
      await stage.deliveries(endpoint, 1);
      await using _ = stage.run();
      await until(async () => (await stage.host.sql('select from realtime.webhook_attempts')).length === 1);
      const [row] = await stage.host.sql<{ wait: number }>(
        'select extract(epoch from next_attempt_at - now())::int as wait from realtime.webhook_deliveries',
      );
      expect(row?.wait).toBeGreaterThan(590);
    });

    it('is a failure where no answer comes in time, or the connection breaks', async () => {
      stage.receiver.answer = ({ path }, response) => {
        if (path.endsWith('reset')) response.destroy();
        return undefined;
      };
      const silent = await stage.endpoint({ url: `${stage.receiver.url}/silent` });
      const reset = await stage.endpoint({ url: `${stage.receiver.url}/reset` });
      await stage.deliveries(silent, 1);
      await stage.deliveries(reset, 1);
      await using run = stage.run({ timeoutMs: 200, leaseMs: 5_000, initialMs: 10_000 });
      await until(() => run.results.length === 2);
      expect(run.results.map(({ kind }) => kind).sort()).toEqual(['timed_out', 'unreachable']);
    });

    it('is given up by its age, and the next of an ordered endpoint follows', async () => {
      stage.receiver.answer = ({ body }) => (body === '"1"' ? 500 : 200);
      const endpoint = await stage.endpoint({ ordered: true });
      await stage.deliveries(endpoint, 2);
      await using run = stage.run({ giveUpMs: 100 });
      await untilStates(endpoint, { dead: 1, delivered: 1 });
      expect(run.finished.reduce((sum, { dead }) => sum + dead, 0)).toBe(1);
    });

    it('disables the endpoint where the receiver answers 410', async () => {
      stage.receiver.answer = () => 410;
      const endpoint = await stage.endpoint({ ordered: true });
      await stage.deliveries(endpoint, 2);
      await using run = stage.run();
      await until(() => run.finished.some(({ stopped }) => stopped.length > 0));
      expect(await stage.row(endpoint)).toMatchObject({
        state: 'disabled',
        state_reason: 'the receiver answered 410 Gone',
      });
      expect(await stage.states(endpoint)).toEqual({ dead: 1, pending: 1 });
      expect(run.log.lines).toContainEqual(expect.objectContaining({ message: 'a webhook endpoint was stopped' }));
    });

    it('pauses the endpoint that failed for too long, and keeps what waits', async () => {
      stage.receiver.answer = () => 500;
      const endpoint = await stage.endpoint();
      await stage.deliveries(endpoint, 2);
      await using run = stage.run({ pauseAfterMs: 50 });
      await until(() => run.finished.some(({ stopped }) => stopped.some(({ state }) => state === 'paused')));
      expect(await stage.row(endpoint)).toMatchObject({
        state: 'paused',
        state_reason: expect.stringMatching(/^failing since 20/),
      });
      await until(async () => (await stage.states(endpoint)).pending === 2);
    });

    it('opens the breaker: one probe at a time by a clock of its own, and a success lets all through', async () => {
      let isWell = false;
      stage.receiver.answer = () => (isWell ? 200 : 500);
      const endpoint = await stage.endpoint();
      await stage.deliveries(endpoint, 40);
      await using _ = stage.run({ initialMs: 100 });
      await until(async () => Number((await stage.row(endpoint)).consecutive_failures) >= 6);
      const before = stage.receiver.received.length;
      await until(async () => Number((await stage.row(endpoint)).consecutive_failures) >= 8);
      const probes = stage.receiver.received.slice(before);
      expect(probes.length).toBeLessThan(5);
      expect(probes.every(({ together }) => together === 1)).toBe(true);
      isWell = true;
      await stage.host.sql(
        `update realtime.webhook_deliveries set next_attempt_at = now() + interval '1 hour' where state = 'pending'`,
      );
      await untilStates(endpoint, { delivered: 40 });
      expect(await stage.row(endpoint)).toMatchObject({
        consecutive_failures: 0,
        failing_since: null,
        next_attempt_at: null,
      });
    });

    it('delays nobody else', async () => {
      stage.receiver.answer = ({ path }) => (path.endsWith('silent') ? undefined : 200);
      const silent = await stage.endpoint({ url: `${stage.receiver.url}/silent` });
      const well = await stage.endpoint();
      await stage.deliveries(silent, 60);
      await using _ = stage.run({ maxInFlight: 20, timeoutMs: 300 });
      await until(() => stage.receiver.received.length > 0);
      await stage.deliveries(well, 20);
      await untilStates(well, { delivered: 20 });
    });
  });

  describe('leases', () => {
    it('that ran out are taken again, and who comes late changes nothing', async () => {
      const endpoint = await stage.endpoint({ ordered: true });
      await stage.deliveries(endpoint, 1);
      const rules = { initialMs: 1_000, maxMs: 1_000, giveUpMs: 60_000, pauseAfterMs: 60_000 };
      const dead = new DeliveryQueue({ pool: stage.host.db.pool, holder: 'dead', leaseMs: 1, rules });
      const [request] = await dead.lease(10, 1_000_000);
      if (request === undefined) throw new Error('nothing was leased');
      await using _ = stage.run();
      await untilStates(endpoint, { delivered: 1 });
      expect(await dead.finish([{ request, result: FAILED }])).toMatchObject({ lost: 1, delivered: 0, dead: 0 });
      expect(await stage.states(endpoint)).toEqual({ delivered: 1 });
      expect(stage.receiver.received).toHaveLength(1);
    });

    it('are waited for at a stop, within the grace', async () => {
      const open = gate();
      stage.receiver.answer = () => open.promise.then(() => 200);
      const endpoint = await stage.endpoint();
      await stage.deliveries(endpoint, 2);
      const run = stage.run();
      await until(() => stage.receiver.received.length === 2);
      const stopped = run.stop();
      open.resolve();
      await stopped;
      expect(await stage.states(endpoint)).toEqual({ delivered: 2 });
    });

    it('are let go of after the grace, for others to take at once', async () => {
      stage.receiver.answer = () => undefined;
      const endpoint = await stage.endpoint();
      await stage.deliveries(endpoint, 2);
      const run = stage.run({ graceMs: 30, timeoutMs: 60_000, leaseMs: 120_000 });
      await until(() => stage.receiver.received.length === 2);
      await run.stop();
      expect(await stage.states(endpoint)).toEqual({ pending: 2 });
      expect(await stage.row(endpoint)).toMatchObject({ consecutive_failures: 0 });
      stage.receiver.answer = () => 200;
      await using _ = stage.run();
      await untilStates(endpoint, { delivered: 2 });
    });
  });

  describe('the keeper', () => {
    const counted: string[] = [];
    const keeper = (ages: { giveUpMs: number; keepMs: number }) => ({
      pool: stage.host.db.pool,
      ...ages,
      counters: {
        dead: (count: number) => void counted.push(`dead ${count}`),
        removed: (count: number) => void counted.push(`removed ${count}`),
      },
    });
    beforeEach(() => void counted.splice(0));
    const old = { created_at: new Date(Date.now() - 3_600_000).toISOString() };

    it('gives up what waits too long for an endpoint that has failed for as long', async () => {
      const failing = await stage.endpoint({ failing_since: old.created_at, consecutive_failures: 9 });
      const well = await stage.endpoint();
      const paused = await stage.endpoint({ state: 'paused', failing_since: old.created_at });
      for (const endpoint of [failing, well, paused]) await stage.deliveries(endpoint, 1, old);
      await stage.deliveries(failing, 1);
      await giveUpOld(keeper({ giveUpMs: 1_800_000, keepMs: 1 }));
      expect(counted).toEqual(['dead 1']);
      expect([await stage.states(failing), await stage.states(well), await stage.states(paused)]).toEqual([
        { dead: 1, pending: 1 },
        { pending: 1 },
        { pending: 1 },
      ]);
    });

    it('removes what ended long ago, dead ones later, and what has no endpoint', async () => {
      const endpoint = await stage.endpoint();
      for (const state of ['delivered', 'cancelled', 'hidden', 'dead', 'pending'])
        await stage.deliveries(endpoint, 1, { ...old, state });
      await stage.deliveries(endpoint, 1, { state: 'delivered' });
      await stage.deliveries('11111111-1111-4111-8111-111111111111', 1, old);
      await removeOld(keeper({ giveUpMs: 1, keepMs: 1_800_000 }));
      expect(counted).toEqual(['removed 4']);
      expect(await stage.states(endpoint)).toEqual({ dead: 1, pending: 1, delivered: 1 });
      await removeOld(keeper({ giveUpMs: 1, keepMs: 600_000 }));
      expect(await stage.states(endpoint)).toEqual({ pending: 1, delivered: 1 });
    });
  });
});

function verifies(secret: string, body: string, headers: Record<string, string>): boolean {
  try {
    new Webhook(secret).verify(body, headers);
    return true;
  } catch {
    return false;
  }
}

// The lease over a real database: what ends it, and what does not.

import { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { cut, endWithin } from '../../server/db/dead-link.ts';
import { endExpiredLeader, type Leadership, tryToLead } from '../../server/replication/leadership.ts';
import { Lease } from '../../server/replication/lease.ts';
import { type MigratedDatabase, migratedDatabase } from '../db/migrated.ts';
import { through } from '../faults/proxied-postgres.ts';
import { startTcpProxy, type TcpProxy } from '../faults/tcp-proxy.ts';
import { describeEachPostgres, type TestPostgres } from '../rig/postgres.ts';
import { until } from '../rig/until.ts';

const LEASE_MS = 300;
const SLOT = 'lease';

let migrated: MigratedDatabase;
let proxy: TcpProxy;

async function setUp(postgres: TestPostgres): Promise<void> {
  migrated = await migratedDatabase(postgres);
  const { hostname, port } = new URL(postgres.url);
  proxy = await startTcpProxy({ host: hostname, port: Number(port) });
}

async function tearDown(): Promise<void> {
  await migrated.close();
  await proxy[Symbol.asyncDispose]();
}

describeEachPostgres('the lead', (postgres) => {
  beforeAll(() => setUp(postgres));
  afterAll(tearDown);

  describe('a lease', () => {
    it('is renewed without writing anything', async () => {
      await using led = await lead();
      const before = await leaseRow();
      const renewed = await renewedAt();
      await until(async () => (await renewedAt()) > renewed, { what: 'a renewal' });
      expect(await leaseRow()).toEqual(before);
      expect(led.losses).toEqual([]);
    });

    it('is lost when its session ends', async () => {
      await using led = await lead();
      await migrated.sql('select pg_terminate_backend(e.pid) from realtime.lease as e');
      await until(() => led.losses.length === 1, { what: 'the loss' });
    });

    it('is lost when the session of the journal ends', async () => {
      await using led = await lead();
      await migrated.sql('select pg_terminate_backend(c.journal_pid) from realtime.checkpoint as c');
      await until(() => led.losses.length === 1, { what: 'the loss' });
      expect(led.losses).toEqual(['the session of the journal is gone']);
    });

    it('is not lost while the journal waits for a slow statement', async () => {
      await using led = await lead();
      const since = performance.now();
      led.lease.watchJournal(() => since);
      await led.client.query('select pg_sleep($1)', [(LEASE_MS * 3) / 1_000]);
      expect(led.losses).toEqual([]);
    });

    it('is not lost while the journal has nothing to do', async () => {
      await using led = await lead();
      led.lease.watchJournal(() => undefined);
      await migrated.sql('select pg_sleep($1)', [(LEASE_MS * 3) / 1_000]);
      expect(led.losses).toEqual([]);
    });

    it('is lost when journal and backend wait for each other, for the link between them is dead', async () => {
      await using led = await lead();
      await led.client.query('select 1');
      proxy.blackhole('both');
      const since = performance.now();
      led.lease.watchJournal(() => since);
      const unanswered = led.client.query('select 2').catch((error: Error) => error.message);
      await until(() => led.losses.length === 1, { what: 'the loss' });
      expect(led.losses[0]).toMatch('the link of the journal is dead');
      cut(led.client, new Error('cut'));
      expect(await unanswered).toBe('cut');
    });
  });

  describe('a leader', () => {
    it('is left alone while it renews its lease', async () => {
      await using _led = await lead();
      expect(await endExpired(LEASE_MS)).toBe(false);
    });

    it('is ended once it has not renewed its lease, and the lock is free', async () => {
      await using led = await lead();
      await led.lease.close();
      await until(() => endExpired(LEASE_MS), { what: 'the lease to expire' });
      const next = await migrated.database.connect();
      const leads = await until(() => tryToLead(next, SLOT, 'next'), { what: 'the lock to be free' });
      expect(leads.term).toBe(led.term + 1n);
      await next.end();
    });

    it('of another slot is left alone', async () => {
      await using led = await lead();
      await led.lease.close();
      await migrated.sql('select pg_sleep($1)', [(LEASE_MS * 2) / 1_000]);
      const waiting = await migrated.database.connect();
      expect(await endExpiredLeader(waiting, 'other', LEASE_MS)).toBe(false);
      await waiting.end();
    });
  });
});

type Led = AsyncDisposable & {
  readonly client: Client;
  readonly term: bigint;
  readonly lease: Lease;
  readonly losses: readonly string[];
};

/** Leads: the journal goes through the proxy, the lease does not. */
async function lead(): Promise<Led> {
  proxy.heal();
  const client = new Client({ connectionString: through(proxy, migrated.database.url) });
  client.on('error', () => undefined);
  await client.connect();
  const leadership = await until<Leadership | undefined>(() => tryToLead(client, SLOT, 'test'), { what: 'the lead' });
  const losses: string[] = [];
  const openSession = (): Promise<Client> => migrated.database.connect();
  const onLost = (why: Error): void => void losses.push(why.message);
  const lease = await Lease.take(leadership, { openSession, leaseMs: LEASE_MS, holder: 'test', onLost });
  const dispose = async (): Promise<void> => {
    await lease.close();
    proxy.heal();
    await endWithin(client, 1_000);
  };
  return { client, term: leadership.term, lease, losses, [Symbol.asyncDispose]: dispose };
}

async function endExpired(leaseMs: number): Promise<boolean> {
  const waiting = await migrated.database.connect();
  return endExpiredLeader(waiting, SLOT, leaseMs).finally(() => waiting.end());
}

async function renewedAt(): Promise<string> {
  const [row] = await migrated.sql<{ at: string }>(
    'select a.state_change::text as at from realtime.lease as e join pg_stat_activity as a on a.pid = e.pid',
  );
  return row?.at ?? '';
}

function leaseRow(): Promise<unknown[]> {
  return migrated.sql('select xmin::text, ctid::text, e.* from realtime.lease as e');
}

import { afterAll, beforeAll, expect, it } from 'vitest';
import { type ClaimsTransactionOptions, claimsTransaction } from '../../server/db/claims-transaction.ts';
import { classifyDatabaseError } from '../../server/db/sqlstate.ts';
import { describeEachPostgres } from '../rig/postgres.ts';
import { type MigratedDatabase, migratedDatabase } from './migrated.ts';

describeEachPostgres('claimsTransaction', (postgres) => {
  let host: MigratedDatabase;
  let options: Omit<ClaimsTransactionOptions, 'role' | 'claims'>;
  beforeAll(async () => {
    host = await migratedDatabase(postgres);
    options = { pool: host.db.pool, allowedRoles: ['anon', 'authenticated', 'none', 'no_such_role'] };
  });
  afterAll(() => host.close());

  const SEEN = `select current_user as role, auth.uid()::text as uid, auth.role() as claimed, realtime.channel_name() as channel,
    current_setting('transaction_read_only') as read_only, current_setting('statement_timeout') as timeout`;
  const SUB = '00000000-0000-0000-0000-000000000001';

  it('runs as the role, with the claims, and leaves nothing behind', async () => {
    const result = await claimsTransaction(
      {
        ...options,
        role: 'authenticated',
        claims: { sub: SUB, role: 'authenticated' },
        readOnly: true,
        statementTimeoutMs: 1234,
        channelName: 'order:1',
      },
      async (client) => (await client.query(SEEN)).rows[0],
    );
    const inside = {
      role: 'authenticated',
      uid: SUB,
      claimed: 'authenticated',
      channel: 'order:1',
      read_only: 'on',
      timeout: '1234ms',
    };
    expect(result).toEqual({ ok: true, value: inside });
    const outside = { role: 'postgres', uid: null, claimed: null, channel: null, read_only: 'off', timeout: '20s' };
    expect(await host.sql(SEEN)).toEqual([outside]);
  });

  it.each(['service_role', 'postgres', 'none', 'no_such_role', 'NONE', '"anon"', ''])(
    'refuses the role %j without running anything',
    async (role) => {
      let ran = false;
      const result = await claimsTransaction({ ...options, role, claims: {} }, async () => {
        ran = true;
      });
      expect({ result, ran }).toEqual({ result: { ok: false, reason: 'unknown_role' }, ran: false });
    },
  );

  it('hostile claims stay data', async () => {
    const claims = { sub: `x'; reset role; --`, role: 'none', nested: { deep: ['"', '\\', null] }, '': '' };
    const result = await claimsTransaction({ ...options, role: 'anon', claims }, async (client) => {
      const { rows } = await client.query(`select current_user as role, auth.jwt() as jwt`);
      return rows[0];
    });
    expect(result.ok && result.value.role).toBe('anon');
    expect(result.ok && JSON.parse(result.value.jwt)).toEqual(claims);
  });

  it('rolls back what throws, and hands the connection back clean', async () => {
    await host.sql('create table public.notes (id int); grant all on public.notes to anon');
    const work = claimsTransaction({ ...options, role: 'anon', claims: {} }, async (client) => {
      await client.query('insert into public.notes values (1)');
      throw new Error('changed my mind');
    });
    await expect(work).rejects.toThrow('changed my mind');
    expect(await host.sql('select count(*)::int as n, current_user as role from public.notes')).toEqual([
      { n: 0, role: 'postgres' },
    ]);
  });

  it('an error that the work swallows is no commit', async () => {
    const work = claimsTransaction({ ...options, role: 'anon', claims: {} }, async (client) => {
      await client.query('select 1/0').catch(() => undefined);
    });
    await expect(work).rejects.toThrow('rolled back');
  });

  it('a connection that dies in it does not go back into the pool', async () => {
    const work = claimsTransaction({ ...options, role: 'anon', claims: {} }, async (client) => {
      const { rows } = await client.query('select pg_backend_pid() as pid');
      await host.database.query('select pg_terminate_backend($1)', [rows[0].pid]);
      await client.query('select pg_sleep(5)');
    });
    const failure = await work.catch((error: unknown) => error);
    expect(['shutting_down', 'connection_lost']).toContain(classifyDatabaseError(failure).kind);
    expect(await host.sql('select 1 as one')).toEqual([{ one: 1 }]);
  });
});

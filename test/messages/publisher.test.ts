// Owns what a publisher is told when the database fails, and what is handed on when it does not.

import type { Pool } from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeIdentity } from '../../server/auth/make-identity.ts';
import type { EphemeralMessage, PublishRequest } from '../../server/messages/publish-request.ts';
import { Publisher } from '../../server/messages/publisher.ts';
import type { CanonicalChannel } from '../../server/protocol/channel-name.ts';
import { collectingLog, type MigratedDatabase, migratedDatabase } from '../db/migrated.ts';
import { newestPostgres } from '../rig/postgres.ts';

const ALICE = makeIdentity({ role: 'authenticated', isAdmin: false, claims: { sub: 'alice' } });
const ADMIN = makeIdentity({ role: 'service_role', isAdmin: true, claims: {} });
const ONE: PublishRequest = { channel: 'a' as CanonicalChannel, event: 'e', payload: '1' };

function publisherOver(pool: Pool, adminPool = pool, fanOut: (message: EphemeralMessage) => number = () => 0) {
  const log = collectingLog();
  const publisher = new Publisher({
    pool,
    adminPool,
    roles: ['authenticated'],
    maxPayloadBytes: 1_000,
    fanOut,
    timestamp: () => '2024-01-15T10:30:00Z',
    now: () => 0,
    log,
  });
  return { publisher, log };
}

/** A pool on which nothing works. */
function failing(error: unknown): Pool {
  return { connect: async () => ({ query: () => Promise.reject(error), release: () => undefined }) } as never;
}

function databaseError(code: string, more: object = {}): Error {
  return Object.assign(new Error('said by the database'), { code, severity: 'ERROR', ...more });
}

describe('a failure', () => {
  it.each([
    ['of the connection', Object.assign(new Error('read'), { code: 'ECONNRESET' })],
    ['to connect in time', new Error('timeout exceeded when trying to connect')],
    ['at a shutdown', databaseError('57P01')],
    ['by a timeout', databaseError('57014')],
    ['by a deadlock', databaseError('40P01')],
    ['of a full disk', databaseError('53100')],
    ['on a standby', databaseError('25006')],
  ])('%s is unavailable, for users and admins', async (_, error) => {
    const { publisher } = publisherOver(failing(error));
    for (const who of [ALICE, ADMIN]) {
      const refusal = { code: 'unavailable', message: 'The database cannot be asked at the moment' };
      expect(await publisher.publish(who, null, [ONE, ONE])).toEqual({ ok: false, refusal, index: null });
    }
  });

  it.each([
    ['of a policy', databaseError('22P02', { column: '2' })],
    ['of a policy that takes our words', databaseError('P0001', { column: '2' })],
    ['of a CHECK that is not ours', databaseError('23514', { column: '2', constraint: 'theirs' })],
    ['of a unique index that is not ours', databaseError('23505', { column: '2', constraint: 'theirs' })],
    ['of an argument', databaseError('22023', { column: '2' })],
  ])('%s denies users, and is thrown for admins', async (_, error) => {
    const { publisher, log } = publisherOver(failing(error));
    const answer = await publisher.publish(ALICE, null, [ONE, ONE]);
    expect(answer).toMatchObject({ ok: false, refusal: { code: 'publish_denied', detail: undefined }, index: 1 });
    await publisher.publish(ALICE, null, [ONE, ONE]);
    expect(log.lines).toHaveLength(1);
    await expect(publisher.publish(ADMIN, null, [ONE, ONE])).rejects.toBe(error);
  });

  it('that is none of the database is thrown', async () => {
    const error = new TypeError('bug');
    const { publisher } = publisherOver(failing(error));
    await expect(publisher.publish(ALICE, null, [ONE])).rejects.toBe(error);
  });

  it('tells admins alone what the database said', async () => {
    const { publisher } = publisherOver(failing(databaseError('42501')));
    const [user, admin] = [await publisher.publish(ALICE, null, [ONE]), await publisher.publish(ADMIN, null, [ONE])];
    expect(user).toMatchObject({ refusal: { code: 'publish_denied', detail: undefined }, index: 0 });
    expect(admin).toMatchObject({ refusal: { code: 'publish_denied', detail: 'said by the database' } });
  });
});

describe('without asking the database', () => {
  const nobody = (): never => {
    throw new Error('asked');
  };
  const { publisher } = publisherOver({ connect: nobody } as never);

  it('a role that is not in the list is denied: it would be published as the login itself', async () => {
    const stranger = makeIdentity({ role: 'postgres', isAdmin: false, claims: { sub: 's' } });
    expect(await publisher.publish(stranger, null, [ONE])).toMatchObject({ refusal: { code: 'publish_denied' } });
  });

  it('faults of payloads and ids are found, and the first is told', async () => {
    const large = { ...ONE, payload: `"${'x'.repeat(1_000)}"` };
    const visitor = makeIdentity({ role: 'authenticated', isAdmin: false, claims: {} });
    expect(await publisher.publish(ALICE, null, [ONE, large])).toMatchObject({
      refusal: { code: 'payload_too_large' },
      index: 1,
    });
    const chosen = { ...ONE, id: '660e8400-e29b-41d4-a716-446655440000' };
    expect(await publisher.publish(visitor, null, [chosen, large])).toMatchObject({
      refusal: { code: 'bad_frame', message: expect.stringContaining('id can be chosen only') },
      index: 0,
    });
  });
});

describe('over a database', () => {
  let host: MigratedDatabase;
  beforeAll(async () => {
    host = await migratedDatabase(newestPostgres());
    await host.sql(`insert into realtime.channels (pattern, persist) values ('a', true), ('typing', false)`);
    await host.sql(
      `create policy p on realtime.messages for insert to authenticated with check (channel_name <> 'no')`,
    );
  });
  afterAll(() => host.close());

  it('what is not persisted is handed on whole, in order, and only after the list has succeeded', async () => {
    const handed: EphemeralMessage[] = [];
    const { publisher } = publisherOver(host.db.pool, host.db.pool, (message) => handed.push(message));
    const typing = { ...ONE, channel: 'typing' as CanonicalChannel };
    const refused = await publisher.publish(ALICE, 'c1', [typing, { ...ONE, channel: 'no' as CanonicalChannel }]);
    expect([refused.ok, handed]).toEqual([false, []]);
    const list = [typing, ONE, { ...typing, event: 'second', payload: '{"n": 1e2}' }];
    const answer = await publisher.publish(ALICE, 'c1', list);
    const published = answer.ok ? answer.published : [];
    expect(published.map(({ isEphemeral }) => isEphemeral)).toEqual([true, false, true]);
    expect(handed.map(({ messageId }) => messageId)).toEqual([published[0]?.messageId, published[2]?.messageId]);
    expect(handed[1]).toEqual({
      channel: 'typing',
      event: 'second',
      payload: '{"n": 1e2}',
      messageId: published[2]?.messageId,
      senderId: 'alice',
      connectionId: 'c1',
      timestamp: '2024-01-15T10:30:00Z',
    });
  });

  it('a denied publisher costs no connection', async () => {
    const { publisher } = publisherOver(host.db.pool);
    const pids = async () =>
      host.sql(`select pid from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()`);
    const before = await pids();
    for (let n = 0; n < 20; n += 1)
      await publisher.publish(ALICE, null, [{ ...ONE, channel: 'no' as CanonicalChannel }]);
    expect(await pids()).toEqual(before);
  });
});

// Failures are made by a real server, not by hand: the codes are what it sends.

import { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { classifyDatabaseError, isTransient } from '../../server/db/sqlstate.ts';
import { describeEachPostgres, type TestDatabase } from '../rig/postgres.ts';

describeEachPostgres('classifyDatabaseError', (postgres) => {
  let database: TestDatabase;
  beforeAll(async () => {
    database = await postgres.createDatabase();
    await database.query('create table t (id int primary key check (id > 0), word text not null)');
  });
  afterAll(() => database.drop());

  const kindOf = async (sql: string): Promise<string> => {
    const client = await database.connect();
    try {
      await client.query(sql);
      return 'none';
    } catch (error) {
      return classifyDatabaseError(error).kind;
    } finally {
      await client.end().catch(() => undefined);
    }
  };

  it.each([
    ['select 1/0', 'data_exception'],
    [`select 'x'::int`, 'data_exception'],
    [`select '"\\u0000"'::jsonb`, 'data_exception'],
    ['select * from missing', 'undefined_table'],
    ['select missing from t', 'undefined_column'],
    ['select missing()', 'undefined_function'],
    ['set role nobody_of_that_name', 'data_exception'],
    ['create table t (id int)', 'duplicate_object'],
    ['selec 1', 'syntax_error'],
    [`insert into t values (1, 'a'), (1, 'b')`, 'unique_violation'],
    [`insert into t values (0, 'a')`, 'check_violation'],
    ['insert into t values (1, null)', 'not_null_violation'],
    [`set statement_timeout = 1; select pg_sleep(5)`, 'query_cancelled'],
    ['begin read only; delete from t', 'read_only'],
    [`set role pg_monitor; delete from t`, 'permission_denied'],
    ['select pg_terminate_backend(pg_backend_pid())', 'shutting_down'],
    [`select pg_drop_replication_slot('no_such_slot')`, 'undefined_object'],
  ])('%s is %s', async (sql, kind) => {
    expect(await kindOf(sql)).toBe(kind);
  });

  it('a lock that is not given in time is lock_timeout', async () => {
    const holder = await database.connect();
    await holder.query('begin; lock table t');
    expect(await kindOf(`set lock_timeout = 1; select * from t`)).toBe('lock_timeout');
    await holder.end();
  });

  it('a refused login and a missing database are login_refused', async () => {
    for (const url of [database.urlAs('nobody', 'x'), `${postgres.url.replace(/\/[^/]*$/, '')}/no_such_database`]) {
      const error = await new Client(url).connect().catch((failure) => failure);
      expect(classifyDatabaseError(error).kind).toBe('login_refused');
    }
  });

  it('carries constraint, detail and SQLSTATE', async () => {
    const error = await database.query(`insert into t values (-1, 'a')`).catch((failure) => failure);
    expect(classifyDatabaseError(error)).toMatchObject({ sqlstate: '23514', constraint: 't_id_check' });
  });
});

describe('classifyDatabaseError', () => {
  it('an address nobody listens at is connection_lost, and transient', async () => {
    const error = await new Client('postgres://a@127.0.0.1:1/a').connect().catch((failure) => failure);
    const { kind, sqlstate } = classifyDatabaseError(error);
    expect({ kind, sqlstate }).toEqual({ kind: 'connection_lost', sqlstate: undefined });
    expect(isTransient(kind)).toBe(true);
  });

  it('what is no error of a database is other', () => {
    for (const thrown of [new Error('x'), 'text', null, undefined, 7]) {
      expect(classifyDatabaseError(thrown).kind).toBe('other');
    }
  });
});

// A database where Rowcast's login is not a superuser, as managed databases have it: REPLICATION, CREATE on
// the database, and tables of its own or of a role it is a member of.

import { Client } from 'pg';
import { expect, it } from 'vitest';
import { describeEachPostgres } from '../rig/postgres.ts';
import { until } from '../rig/until.ts';
import { withPlainApp } from './plain-app.ts';

describeEachPostgres('a login without superuser', (postgres) => {
  it('streams the changes of tables whose owner it is a member of', async () => {
    await withPlainApp(postgres, async (app) => {
      const client = await app.client();
      await app.database.query(`select realtime.watch('mine')`);
      await client.subscribe('db:mine');
      await app.database.query('insert into mine values (7)');
      expect((await client.received(1))[0]?.payload.new).toEqual({ id: 7 });
      await client.close();
    });
  });

  it('runs policies itself, and says so', async () => {
    await withPlainApp(postgres, async ({ logLines, database }, login) => {
      const warnings = logLines.filter(({ level, fields }) => level === 'warn' && fields.login === login.user);
      expect(warnings.map(({ message }) => message)).toContainEqual(
        expect.stringContaining('policies run on the main login'),
      );
      const made = 'select from pg_roles, pg_database where datname = $1 and rolname = $2 || pg_database.oid';
      expect(await database.query(made, [database.name, 'rowcast_policies_'])).toEqual([]);
    });
  });

  it('may not watch the table of another, and the error names the statement to run', async () => {
    await withPlainApp(postgres, async (app, login) => {
      const client = new Client({ connectionString: app.database.urlAs(login.user, login.password) });
      await client.connect();
      const refusal = await client.query(`select realtime.watch('theirs')`).catch((error) => error);
      await client.end();
      expect(refusal.code).toBe('42501');
      expect(refusal.hint).toContain(`select realtime.watch('public.theirs')`);
    });
  });

  it('keeps history and confirms it to the slot', async () => {
    await withPlainApp(postgres, async ({ database }) => {
      await database.query(`select realtime.watch('mine')`);
      await database.query('insert into mine values (7)');
      await until(async () => (await database.query('select from realtime.changes')).length === 1);
      const confirmed = `
        select from pg_replication_slots as s, realtime.checkpoint as c
        where s.slot_name = $1 and s.confirmed_flush_lsn > c.handled`;
      await until(async () => (await database.query(confirmed, [database.slot])).length === 1);
    });
  });
});

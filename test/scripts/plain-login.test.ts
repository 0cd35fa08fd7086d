import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { endLaunched, launch, launchServer, portOf } from '../rig/launch.ts';
import { describeEachPostgres } from '../rig/postgres.ts';
import { runScript } from '../rig/run-script.ts';
import { until } from '../rig/until.ts';

let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'rowcast-plain-'));
});

afterEach(endLaunched);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describeEachPostgres('a login without superuser', (postgres) => {
  it('runs the server after the script of the doctor, beside an existing table, and leaves by teardown', async () => {
    await using database = await postgres.createDatabase();
    const login = `login_${database.name}`;
    const policies = `policies_${database.name}`;
    const env = {
      DATABASE_URL: database.urlAs(login, 'p'),
      ROWCAST_POLICY_DATABASE_URL: database.urlAs(policies, 'p'),
      ROWCAST_SLOT: database.slot,
      ROWCAST_DATA_DIR: folder,
      PORT: '0',
    };
    await database.query(`create role ${login} login password 'p'`);
    try {
      const script = await runScript('scripts/doctor.ts', { args: ['--script', '--policy-login', policies], env });
      await database.query(`${script.stdout}; alter role ${policies} password 'p'`);
      await database.query(`create table public.orders (id int primary key, total numeric);
        alter table public.orders owner to ${login}`);

      const server = await launchServer(env);
      const sql = (text: string) => runScript('scripts/sql.ts', { args: [text], env });
      expect(await sql(`select realtime.watch('public.orders')`)).toMatchObject({ code: 0 });
      const tail = launch(['scripts/tail.ts', 'db:orders', '--count', '1'], { ...env, PORT: String(portOf(server)) });
      await until(() => tail.output.includes('subscribed'), { what: 'tail to be subscribed' });
      await database.query('insert into public.orders values (1, 9.5)');
      expect(await tail.exit).toBe(0);
      expect(tail.output).toContain('{"id":1,"total":9.5}');
      expect((await runScript('scripts/doctor.ts', { env })).code).toBe(0);

      await endLaunched();
      expect(await runScript('scripts/teardown.ts', { args: ['--yes'], env })).toMatchObject({ code: 0, stderr: '' });
      expect(await database.query('select id from public.orders')).toEqual([{ id: 1 }]);
    } finally {
      await endLaunched();
      for (const role of [login, policies]) await database.query(`drop owned by ${role} cascade; drop role ${role}`);
    }
  });
});

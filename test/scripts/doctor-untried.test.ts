// What the doctor says where it cannot look, or policies do not answer.

import { describe, expect, it } from 'vitest';
import { migratedDatabase } from '../db/migrated.ts';
import { stage } from '../db/policy-stage.ts';
import { newestPostgres } from '../rig/postgres.ts';
import { examine, prepared, table, worth } from './doctor-stage.ts';

describe('npm run doctor, where policies cannot be tried', () => {
  const postgres = newestPostgres();

  it('says so where the schema is not open to the login', async () => {
    await using host = await migratedDatabase(postgres);
    const login = `plain_${host.database.name}`;
    await host.database.query(`create role ${login} login password 'p'`);
    try {
      const closed = worth(await examine(host.database.urlAs(login, 'p')), 'tables');
      expect(closed).toMatchObject([{ level: 'warning', message: expect.stringContaining('not open to this login') }]);
    } finally {
      await host.database.query(`drop role ${login}`);
    }
  });

  it('says so before the server was started once', async () => {
    await using host = await migratedDatabase(postgres);
    await host.database.query(table('posts', 'id int primary key', '1', 'create policy p on T using (id > 0)'));
    const findings = await examine(host.database.url, { ROWCAST_SLOT: host.database.slot });
    expect(worth(findings, 'table posts')).toContainEqual(
      expect.objectContaining({ level: 'note', remedy: 'start the server once' }),
    );
  });

  it('says so where the login may not read the table', async () => {
    await using scene = await stage(postgres);
    const { database, role } = scene;
    const main = await scene.make('main', `login password 'p'`);
    await database.query(`grant create on database ${database.name} to ${main}; grant ${role} to ${main}`);
    const mainUrl = database.urlAs(main, 'p');
    await scene.settle({ mainUrl });
    await database.query(`create table posts (id int primary key); alter table posts enable row level security;
      grant select on posts to ${role}; create policy p on posts using (id > 0); select realtime.watch('posts')`);
    const findings = await examine(mainUrl, { ROWCAST_SLOT: database.slot, ROWCAST_ROLES: role });
    expect(
      worth(findings, 'table posts')
        .map(({ message }) => message)
        .join(),
    ).toContain('its policies could not be tried: query would be affected by row-level security');
  });

  it('says which policy does not answer in time', async () => {
    await using host = await migratedDatabase(postgres);
    await prepared(host);
    await host.database.query(
      table('posts', 'id int primary key', '1', 'create policy slow on T using (pg_sleep(id * 60) is not null)'),
    );
    const findings = await examine(host.database.url, { ROWCAST_SLOT: host.database.slot });
    expect(
      worth(findings, 'table posts')
        .map(({ message }) => message)
        .join(),
    ).toContain('policy slow gives no answer for 1 row within 5 s, for authenticated');
  });
});

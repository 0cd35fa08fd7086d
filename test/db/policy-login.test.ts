// The login that Rowcast makes for policies: what it is, what it can do, and what it must not be able to do.

import { expect, it } from 'vitest';
import { describeEachPostgres, type TestDatabase } from '../rig/postgres.ts';
import { failureOf } from './migrated.ts';
import { connected, messageOf, type Stage, stage, urlOf, whoAmI } from './policy-stage.ts';

async function attributesOf(database: TestDatabase, login: string): Promise<object | undefined> {
  const [row] = await database.query(
    `select rolcanlogin, rolinherit, rolsuper, rolbypassrls, rolcreatedb, rolcreaterole, rolreplication
     from pg_roles where rolname = $1`,
    [login],
  );
  return row;
}

const BOUND = {
  rolcanlogin: true,
  rolinherit: false,
  rolsuper: false,
  rolbypassrls: false,
  rolcreatedb: false,
  rolcreaterole: false,
  rolreplication: false,
};

describeEachPostgres('the policy login that Rowcast makes', (postgres) => {
  it('is bound by row security, and named after its database', async () => {
    await using test = await stage(postgres);
    const settled = await test.settle();
    const [{ oid } = { oid: 0 }] = await test.database.query<{ oid: number }>(
      'select oid from pg_database where datname = current_database()',
    );
    expect(settled.result).toMatchObject({ ok: true, login: `rowcast_policies_${oid}` });
    expect(await whoAmI(urlOf(settled))).toBe(`rowcast_policies_${oid}`);
    expect(await attributesOf(test.database, `rowcast_policies_${oid}`)).toEqual(BOUND);
    expect(settled.warnings).toEqual([]);
  });

  it('takes the roles of tokens, and neither the main login nor one that sees everything', async () => {
    await using test = await stage(postgres);
    await connected(urlOf(await test.settle()), async (client) => {
      await client.query(`set role ${test.role}`);
      await client.query(`reset role`);
      expect(await failureOf(client.query(`set role ${test.bypass}`))).toMatchObject({ code: '42501' });
      expect(await failureOf(client.query(`set role ${new URL(test.database.url).username}`))).toMatchObject({
        code: '42501',
      });
    });
  });

  it('reads no table by itself, also none that the roles may read', async () => {
    await using test = await stage(postgres);
    await test.database.query(`create table public.notes (id int); grant select on public.notes to ${test.role}`);
    await connected(urlOf(await test.settle()), async (client) => {
      for (const table of [
        'public.notes',
        'realtime.channels',
        'realtime.messages',
        'realtime.settings',
        'realtime.changes',
      ]) {
        expect(await failureOf(client.query(`select * from ${table}`)), table).toMatchObject({ code: '42501' });
      }
      await client.query(`set role ${test.role}`);
      expect((await client.query('select * from public.notes')).rows).toEqual([]);
    });
  });

  it('keeps its password over starts and among servers that start at once', async () => {
    await using test = await stage(postgres);
    const first = urlOf(await test.settle());
    const again = await Promise.all([test.settle(), test.settle(), test.settle()]);
    expect(again.map(urlOf)).toEqual([first, first, first]);
    expect(new URL(first).password).toMatch(/^[A-Za-z0-9_-]{43}$/);
    expect(await whoAmI(first)).toContain('rowcast_policies_');
  });

  it('is made once by servers that start at once', async () => {
    await using test = await stage(postgres);
    await test.settle({ policyUrl: test.database.urlAs('nobody_at_all', 'p') });
    const urls = (await Promise.all([test.settle(), test.settle(), test.settle()])).map(urlOf);
    expect(new Set(urls).size).toBe(1);
  });

  it('is repaired where somebody changed it', async () => {
    await using test = await stage(postgres);
    const settled = await test.settle();
    const login = new URL(urlOf(settled)).username;
    await test.database.query(
      `alter role ${login} superuser bypassrls inherit createdb createrole replication nologin`,
    );
    await test.database.query(`revoke ${test.role} from ${login}; revoke usage on schema realtime from ${login}`);
    await connected(urlOf(await test.settle()), async (client) => {
      await client.query(`set role ${test.role}`);
      const may = await client.query(`select has_schema_privilege('${login}', 'realtime', 'usage') as may`);
      expect(may.rows).toEqual([{ may: true }]);
    });
    expect(await attributesOf(test.database, login)).toEqual(BOUND);
  });

  it('gets its password again where it has another one', async () => {
    await using test = await stage(postgres);
    const first = urlOf(await test.settle());
    await test.database.query(`alter role ${new URL(first).username} password 'other'`);
    await expect(whoAmI(first)).rejects.toThrow('password');
    expect(urlOf(await test.settle())).toBe(first);
    expect(await whoAmI(first)).toContain('rowcast_policies_');
  });

  it('is refused where it can become an owner', async () => {
    await using test = await stage(postgres);
    const owner = await test.make('owner', 'nologin');
    const login = new URL(urlOf(await test.settle())).username;
    await test.database.query(`create table public.posts (id int primary key); alter table public.posts owner to ${owner};
      select realtime.watch('public.posts'); grant ${owner} to ${login}`);
    expect(messageOf(await test.settle())).toContain(`run revoke ${owner} from ${login};`);
  });

  it('does not take a role of tokens through which everything can be reached, and says so', async () => {
    await using test = await stage(postgres);
    await test.database.query(`grant ${test.bypass} to ${test.role}`);
    const settled = await test.settle();
    expect(settled.warnings).toMatchObject([{ fields: { role: test.role, leadsTo: test.bypass } }]);
    await connected(urlOf(settled), async (client) => {
      expect(await failureOf(client.query(`set role ${test.role}`))).toMatchObject({ code: '42501' });
    });
  });

  it('is said to need the variable where pg_hba.conf or the like refuses it', async () => {
    await using test = await stage(postgres);
    const login = new URL(urlOf(await test.settle())).username;
    await test.database.query(`alter role ${login} connection limit 0`);
    const refused = await test.settle().catch((error) => error);
    // Too many connections may pass: the start is tried again.
    expect(refused).toMatchObject({ code: '53300' });
    await test.database.query(`alter role ${login} connection limit -1 valid until '2000-01-01'`);
    expect(messageOf(await test.settle())).toMatch(/cannot connect: .*ROWCAST_POLICY_DATABASE_URL/);
  });
});

describeEachPostgres('a main login with CREATEROLE and no superuser', (postgres) => {
  async function asCreator(test: Stage, more = ''): Promise<string> {
    const main = await test.make('main', `login createrole replication password 'p' ${more}`);
    await test.database.query(`grant create on database ${test.database.name} to ${main}`);
    return test.database.urlAs(main, 'p');
  }

  it('makes the policy login, also at a second start', async () => {
    await using test = await stage(postgres);
    const mainUrl = await asCreator(test);
    const settled = await test.settle({ mainUrl });
    expect(await whoAmI(urlOf(settled))).toMatch(/^rowcast_policies_/);
    expect(urlOf(await test.settle({ mainUrl }))).toBe(urlOf(settled));
    await connected(urlOf(settled), async (client) => {
      expect(await failureOf(client.query(`set role main_${test.database.name}`))).toMatchObject({ code: '42501' });
      expect(await failureOf(client.query('select * from realtime.settings'))).toMatchObject({ code: '42501' });
    });
  });

  it('grants the roles of tokens where it may, and names the statement where it may not', async () => {
    await using test = await stage(postgres);
    const settled = await test.settle({ mainUrl: await asCreator(test) });
    const statements = settled.warnings.map(({ fields }) => (fields as { remedy: string }).remedy);
    // Until 15, CREATEROLE may grant every role that is no superuser; from 16 on it needs ADMIN.
    expect(statements).toHaveLength(postgres.version >= 16 ? 1 : 0);
    for (const remedy of statements) await test.database.query(remedy.slice(remedy.indexOf('grant')));
    await connected(urlOf(settled), (client) => client.query(`set role ${test.role}`));
    expect((await test.settle({ mainUrl: test.database.urlAs(`main_${test.database.name}`, 'p') })).warnings).toEqual(
      [],
    );
  });

  it('grants the roles that it is admin of', async () => {
    await using test = await stage(postgres);
    const mainUrl = await asCreator(test);
    await test.database.query(`grant ${test.role} to main_${test.database.name} with admin option`);
    const settled = await test.settle({ mainUrl });
    expect(settled.warnings).toEqual([]);
    await connected(urlOf(settled), (client) => client.query(`set role ${test.role}`));
  });

  it('says what to run where the login is beyond its reach', async () => {
    await using test = await stage(postgres);
    const mainUrl = await asCreator(test);
    const login = new URL(urlOf(await test.settle({ mainUrl }))).username;
    await test.database.query(`alter role ${login} superuser`);
    expect(messageOf(await test.settle({ mainUrl }))).toMatch(
      /could not be made or repaired: .*ROWCAST_POLICY_DATABASE_URL/,
    );
    await test.database.query(`alter role ${login} nosuperuser`);
    expect(urlOf(await test.settle({ mainUrl }))).toContain(login);
  });
});

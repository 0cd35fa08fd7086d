// The login for policies where Rowcast makes none: the one that is given, or the main one.

import { describe, expect, it } from 'vitest';
import { urlAs } from '../../server/db/login-url.ts';
import { scramVerifier } from '../../server/db/scram-verifier.ts';
import { describeEachPostgres } from '../rig/postgres.ts';
import { messageOf, type Stage, stage } from './policy-stage.ts';

describeEachPostgres('a policy login that is given', (postgres) => {
  const given = async (test: Stage, attributes = ''): Promise<{ login: string; policyUrl: string }> => {
    const login = await test.make('policies', `login noinherit password 'p' ${attributes}`);
    return { login, policyUrl: test.database.urlAs(login, 'p') };
  };

  it('gets what it needs of the schema, and is told which roles it lacks', async () => {
    await using test = await stage(postgres);
    const { login, policyUrl } = await given(test);
    const { result, warnings } = await test.settle({ policyUrl });
    expect(result).toEqual({ ok: true, url: policyUrl, login });
    expect(warnings).toMatchObject([
      { fields: { role: test.role, remedy: expect.stringContaining(`grant ${test.role} to ${login}`) } },
    ]);
    expect(await test.database.query(`select has_schema_privilege('${login}', 'realtime', 'usage') as may`)).toEqual([
      { may: true },
    ]);
    expect(
      await test.database.query(`select count(*)::int as made from pg_roles where rolname = (
      select 'rowcast_policies_' || oid from pg_database where datname = current_database())`),
    ).toEqual([{ made: 0 }]);
  });

  it.each([
    ['superuser', 'is a superuser', 'nosuperuser'],
    ['bypassrls', 'has BYPASSRLS', 'nobypassrls'],
  ])('is refused with %s', async (attribute, reason, remedy) => {
    await using test = await stage(postgres);
    const { login, policyUrl } = await given(test, attribute);
    expect(messageOf(await test.settle({ policyUrl }))).toMatch(
      new RegExp(`${login} ${reason}: run alter role ${login} ${remedy};`),
    );
  });

  it('is refused as the owner of a watched table, and as one that can become it', async () => {
    await using test = await stage(postgres);
    const { login, policyUrl } = await given(test);
    const owner = await test.make('owner', 'nologin');
    await test.settle();
    await test.database.query(`create table public.posts (id int primary key); alter table public.posts owner to ${login};
      select realtime.watch('public.posts')`);
    expect(messageOf(await test.settle({ policyUrl }))).toContain(`${login} owns the watched table posts`);
    await test.database.query(`alter table public.posts owner to ${owner}; grant ${owner} to ${login}`);
    expect(messageOf(await test.settle({ policyUrl }))).toContain(`run revoke ${owner} from ${login};`);
    await test.database.query(`revoke ${owner} from ${login}`);
    expect(messageOf(await test.settle({ policyUrl }))).toBe(`accepted ${login}`);
  });

  it('may take a role of tokens that owns a watched table', async () => {
    await using test = await stage(postgres);
    const { login, policyUrl } = await given(test);
    await test.settle();
    await test.database.query(`create table public.posts (id int primary key); alter table public.posts owner to ${test.role};
      select realtime.watch('public.posts'); grant ${test.role} to ${login}`);
    expect(messageOf(await test.settle({ policyUrl }))).toBe(`accepted ${login}`);
  });

  it('is refused where it is the main login', async () => {
    await using test = await stage(postgres);
    const main = await test.make('main', `login password 'p'`);
    await test.database.query(`grant create on database ${test.database.name} to ${main}`);
    const mainUrl = test.database.urlAs(main, 'p');
    expect(messageOf(await test.settle({ mainUrl, policyUrl: mainUrl }))).toContain(`${main} owns schema realtime`);
  });

  it('is refused where it leads to another database, or nowhere', async () => {
    await using test = await stage(postgres);
    await using other = await postgres.createDatabase();
    const { login } = await given(test);
    expect(messageOf(await test.settle({ policyUrl: other.urlAs(login, 'p') }))).toContain(
      `another database (${other.name})`,
    );
    expect(messageOf(await test.settle({ policyUrl: test.database.urlAs(login, 'wrong') }))).toContain('password');
  });

  it('is refused where it becomes another role by itself', async () => {
    await using test = await stage(postgres);
    const { login, policyUrl } = await given(test);
    await test.database.query(`grant ${test.role} to ${login}; alter role ${login} set role to ${test.role}`);
    expect(messageOf(await test.settle({ policyUrl }))).toContain(`alter role "${login}" reset role;`);
  });
});

describeEachPostgres('a main login that may not make roles', (postgres) => {
  async function asMain(test: Stage, attributes: string): Promise<string> {
    const main = await test.make('main', `login password 'p' ${attributes}`);
    await test.database.query(`grant create on database ${test.database.name} to ${main}`);
    return test.database.urlAs(main, 'p');
  }

  it('runs policies itself where row security binds it, with a warning', async () => {
    await using test = await stage(postgres);
    const mainUrl = await asMain(test, '');
    const { result, warnings } = await test.settle({ mainUrl, roles: [] });
    expect(result).toEqual({ ok: true, url: mainUrl, login: `main_${test.database.name}` });
    expect(warnings.map(({ message }) => message)).toEqual([expect.stringContaining('policies run on the main login')]);
  });

  it('is refused where row security does not bind it', async () => {
    await using test = await stage(postgres);
    const message = messageOf(await test.settle({ mainUrl: await asMain(test, 'bypassrls') }));
    expect(message).toContain('ROWCAST_POLICY_DATABASE_URL');
    expect(message).toContain('npm run doctor -- --script');
  });
});

describe('the URL of the policy login', () => {
  it.each([
    ['postgres://u:p@h:5433/d?sslmode=require', 'postgres://me:secret@h:5433/d?sslmode=require'],
    ['postgresql://a%40b:p%2Fw%3A@h/d%20b', 'postgresql://me:secret@h/d%20b'],
    ['postgres://h/d', 'postgres://me:secret@h/d'],
    ['postgres://u:p@h/d?user=x&password=y&application_name=z', 'postgres://me:secret@h/d?application_name=z'],
    ['postgres:///d?host=/run/pg', 'postgres:///d?host=%2Frun%2Fpg&user=me&password=secret'],
  ])('made of %s keeps all but the login', (url, made) => {
    expect(urlAs(url, 'me', 'secret')).toBe(made);
  });
});

describe('the verifier of a password', () => {
  it('is what PostgreSQL would have made of it', async () => {
    // RFC 7677, section 3: user "user", password "pencil"; the server key follows from the same exchange.
    const salt = Buffer.from('W22ZaJ0SNY7soEsUEjb6gQ==', 'base64');
    expect(await scramVerifier('pencil', salt)).toBe(
      'SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=',
    );
  });
});

// Why do I get nothing? What the doctor says of channels, watched tables and policies, each with a remedy.

import { afterAll, beforeAll, expect, it } from 'vitest';
import { openExamining } from '../../scripts/doctor/examining.ts';
import type { Finding } from '../../scripts/doctor/finding.ts';
import { policyTrialFindings } from '../../scripts/doctor/policy-trial-findings.ts';
import { readWatchedTables } from '../../scripts/doctor/watched-table.ts';
import type { TableRules } from '../../server/policies/table-rules.ts';
import { TableRulesStore } from '../../server/policies/table-rules-store.ts';
import { testConfig } from '../app/test-app.ts';
import { type MigratedDatabase, migratedDatabase } from '../db/migrated.ts';
import { describeEachPostgres } from '../rig/postgres.ts';
import { examine, prepared, ROLES, saysOk, TABLES, table, worth } from './doctor-stage.ts';

describeEachPostgres('npm run doctor, of watched tables', (postgres) => {
  let host: MigratedDatabase;
  let owner: string;
  let findings: Finding[];
  const again = (): Promise<Finding[]> =>
    examine(host.database.url, { ROWCAST_SLOT: host.database.slot, ROWCAST_ROLES: [...ROLES, owner].join(',') });
  const of = (name: string): Finding[] => worth(findings, `table ${name}`);

  /** A column that no stream carries, where the version knows such. */
  const virtual = (): string => {
    const kind = postgres.version < 18 ? 'stored' : 'virtual';
    const columns = `id int primary key, half int generated always as (id / 2) ${kind}`;
    return table('virtual', columns, '4', 'create policy even on T using (half = 2)').replace(', full => true', '');
  };

  beforeAll(async () => {
    host = await migratedDatabase(postgres);
    owner = `owner_${host.database.name}`;
    await prepared(host);
    await host.database.query(`create role ${owner}; grant usage, create on schema public to ${owner}`);
    await host.database.query(TABLES);
    await host.database.query(virtual());
    const owned = table('owned', 'id int primary key', '1', 'create policy p on T using (true)');
    await host.database.query(`${owned}; alter table owned owner to ${owner}`);
    findings = await again();
  });
  afterAll(async () => {
    await host.database.query(`drop owned by ${owner} cascade; drop role ${owner}`);
    await host.close();
  });

  it('has a remedy for every warning and problem', () => {
    const bare = findings.filter(({ level, remedy }) => (level === 'warning' || level === 'problem') && !remedy);
    expect(bare).toEqual([]);
  });

  it.each([
    ['closed', 'note', 'may SELECT no column of it', /^grant select on public\.closed to anon, authenticated/],
    [
      'hidden.secret',
      'warning',
      'authenticated may SELECT it, but not use its schema',
      'grant usage on schema hidden to authenticated;',
    ],
    [
      'free',
      'warning',
      'no row security: every user of anon, authenticated sees',
      'alter table public.free enable row level security;',
    ],
    ['bare', 'warning', 'without a SELECT policy for authenticated', /^create policy own on public\.bare for select/],
    ['narrow', 'warning', 'only restrictive policies for authenticated', /^create policy own on public\.narrow/],
    ['half', 'note', 'without a SELECT policy for anon', /^create policy own on public\.half for select to anon/],
    [
      'by_owner',
      'warning',
      'and no DELETE to authenticated, whose policies read more than the key (id)',
      `select realtime.watch('public.by_owner', full => true);`,
    ],
    ['no_key', 'warning', 'has no primary key, so only inserts', 'alter table public.no_key add primary key (…);'],
    [
      'owned',
      'warning',
      'has the rights of its owner, whom row security does not bind',
      'alter table public.owned force row level security;',
    ],
    [
      'needs_schema',
      'warning',
      'policy calls: authenticated may not use the schema hidden, so it raises (42501)',
      'grant usage on schema hidden to authenticated;',
    ],
    [
      'needs_type',
      'warning',
      'policy feels: authenticated may not use the schema hidden',
      'grant usage on schema hidden to authenticated;',
    ],
    [
      'needs_execute',
      'warning',
      'policy calls: authenticated may not execute public.locked(integer)',
      'grant execute on function public.locked(integer) to authenticated;',
    ],
    [
      'needs_select',
      'warning',
      'policy member: authenticated may not SELECT id of public.members',
      'grant select (id) on public.members to authenticated;',
    ],
    [
      'finds_none',
      'warning',
      'policy guarded: authenticated may read no row of public.guarded',
      'create policy … on public.guarded for select to authenticated using (…);',
    ],
  ])('of %s: a %s with the statement that mends it', (name, level, message, sql) => {
    const finding = of(name).find((one) => one.message.includes(message));
    expect(finding, JSON.stringify(of(name))).toMatchObject({ level, remedy: expect.any(String) });
    expect(finding?.sql?.[0]).toMatch(sql);
  });

  it('tells what is not told without full identity, as far as the key does not decide', () => {
    const [updates] = of('by_key').filter(({ level }) => level === 'warning');
    expect(updates?.message).toContain(
      'rows that come into view or leave it by an UPDATE are not told to authenticated',
    );
    expect(updates?.message).not.toContain('DELETE');
  });

  it('names the columns of a role that may read some', () => {
    expect(of('few').map(({ message }) => message)).toContain(
      'authenticated gets the columns id, b and no others, by its grants',
    );
  });

  it('finds policies that read what no change carries', () => {
    const [finding] = of('by_system').filter(({ level }) => level === 'warning');
    expect(finding?.message).toContain('policy here reads tableoid, which no change carries: it cannot be judged');
    expect(finding?.remedy).toBe('write it without system columns');
  });

  it('tries policies, and names the one that raises', () => {
    const [finding, ...more] = of('raises').filter(({ level }) => level === 'warning');
    expect(more).toEqual([]);
    expect(finding?.message).toBe(
      'policy number raises on 1 of 2 rows tried (22P02 invalid input syntax for type integer: "x"), for authenticated',
    );
    expect(finding?.remedy).toContain('those of real users may differ');
  });

  it('says which policies answer, generated columns included, and which could not be tried', () => {
    const answers = 'its policies answer for the 1 row tried';
    for (const name of ['half', 'by_owner', 'few', 'finds_none', 'all_command', 'computed', 'virtual']) {
      expect(saysOk(findings, `table ${name}`), name).toContain(answers);
    }
    for (const name of ['needs_schema', 'needs_type', 'needs_execute', 'needs_select', 'by_system', 'raises']) {
      expect(saysOk(findings, `table ${name}`), name).not.toContain(answers);
    }
    expect(of('empty').map(({ message }) => message)).toContain('is empty, so its policies could not be tried');
    expect(of('all_command').filter(({ level }) => level === 'warning')).toEqual([]);
  });

  it('finds the channel of a table that is gone', () => {
    expect(worth(findings, 'channel db:forgotten')).toMatchObject([
      { level: 'warning', sql: [`delete from realtime.channels where pattern = 'db:forgotten';`] },
    ]);
  });

  it('says who may subscribe and publish: nobody, as long as there is no policy', () => {
    expect(worth(findings, 'subscribe')).toMatchObject([
      { level: 'note', message: expect.stringContaining(`${owner} may not subscribe: it lacks the grant`) },
      { level: 'warning', message: expect.stringContaining('nobody but admins may subscribe') },
    ]);
    expect(worth(findings, 'publish')).toMatchObject([
      { level: 'note', message: expect.stringContaining('the grant on realtime.messages') },
      { level: 'note', message: expect.stringContaining('nobody but admins may publish') },
    ]);
  });

  it('finds in the catalogue what the judge of the server raises', async () => {
    const client = await host.database.connect();
    const config = testConfig(host.database, {});
    try {
      await using examining = await openExamining(client, config, host.database.url);
      const { tables } = await readWatchedTables(client, ROLES);
      const rules = await new TableRulesStore(examining.main, ROLES).read(tables.map(({ oid }) => oid));
      for (const table of tables.filter(({ name }) => /^needs_/.test(name))) {
        const tried = await policyTrialFindings(examining, table, rules.get(table.oid) as TableRules, () => false);
        expect(tried[0]?.message, table.name).toContain('raises on 1 of 1 row tried (42501 ');
      }
    } finally {
      await client.end();
    }
  });

  it('is content once the grants and policies that it names are given', async () => {
    const mended = /^table needs_|^table hidden|^subscribe|^publish/;
    const given = findings.filter(
      ({ topic, level }) => mended.test(topic) && (level === 'warning' || topic === 'publish'),
    );
    for (const statement of given.flatMap(({ sql = [] }) => sql)) await host.database.query(statement);
    await host.database.query(
      `grant usage on schema realtime to ${owner}; grant select on realtime.channels to ${owner}`,
    );
    await host.database.query(`create policy x on realtime.channels for select to ${owner} using (true)`);
    const after = await again();
    for (const name of ['needs_schema', 'needs_type', 'needs_execute', 'needs_select', 'hidden.secret']) {
      expect(worth(after, `table ${name}`).filter(({ level }) => level === 'warning')).toEqual([]);
      expect(saysOk(after, `table ${name}`).join()).toContain('policies answer for the 1 row');
    }
    expect(worth(after, 'subscribe')).toEqual([]);
    expect(worth(after, 'publish')).toMatchObject([
      { message: expect.stringContaining(`applies to ${owner}: it may not`) },
    ]);
    expect(saysOk(after, 'subscribe')).toContain('authenticated may subscribe where tables passes');
  });
});

// Owns what the tests of the doctor's look at tables share: tables of every kind, and the doctor's answer.

import type { Finding } from '../../scripts/doctor/finding.ts';
import { settlePolicyLogin } from '../../server/db/policy-login.ts';
import { collectingLog, type MigratedDatabase } from '../db/migrated.ts';
import { runScript } from '../rig/run-script.ts';

/** ROWCAST_ROLES, as it is by default. */
export const ROLES = ['anon', 'authenticated'];

/** A watched table T with row security, a grant to authenticated, and one row. */
export const table = (name: string, columns: string, values: string, ...statements: string[]): string =>
  [
    `create table T (${columns})`,
    'alter table T enable row level security',
    'grant select on T to authenticated',
    `insert into T values (${values})`,
    ...statements,
    `select realtime.watch('T', full => true)`,
  ]
    .join(';\n')
    .replaceAll(/\bT\b/g, name);

/** One table for each thing that can be wrong with one. */
export const TABLES = [
  'create schema hidden',
  `create type hidden.mood as enum ('good', 'bad')`,
  `create function hidden.passes(int) returns boolean language sql as 'select true'`,
  `create function public.locked(int) returns boolean language sql as 'select true'`,
  'revoke execute on function public.locked(int) from public',
  'create table public.members (id int, note text)',
  'create table public.guarded (id int)',
  'alter table public.guarded enable row level security',
  'grant select on public.guarded to authenticated',
  table('closed', 'id int primary key', '1', 'revoke all on T from authenticated'),
  table('hidden.secret', 'id int primary key', '1', 'create policy p on T using (true)'),
  table('free', 'id int primary key', '1', 'alter table T disable row level security', 'grant select on T to anon'),
  table('bare', 'id int primary key', '1'),
  table('narrow', 'id int primary key', '1', 'create policy p on T as restrictive using (true)'),
  table(
    'half',
    'id int primary key',
    '1',
    'grant select on T to anon',
    'create policy p on T to authenticated using (true)',
  ),
  table('by_owner', 'id int primary key, owner uuid', '1', 'create policy own on T using (owner = auth.uid())').replace(
    ', full => true',
    '',
  ),
  table('by_key', 'id int primary key', '1', 'create policy p on T using (id > 0)').replace(', full => true', ''),
  table('no_key', 'id int', '1', 'create policy p on T using (true)').replace(', full => true', ''),
  table(
    'few',
    'id int primary key, a int, b int',
    '1',
    'revoke select on T from authenticated',
    'grant select (id, b) on T to authenticated',
    'create policy p on T using (a is null)',
  ),
  table('needs_schema', 'id int primary key', '1', 'create policy calls on T using (hidden.passes(id))'),
  table(
    'needs_type',
    'id int primary key, mood hidden.mood',
    `1, 'good'`,
    `create policy feels on T using (mood = 'good')`,
  ),
  table('needs_execute', 'id int primary key', '1', 'create policy calls on T using (public.locked(id))'),
  table(
    'needs_select',
    'id int primary key',
    '1',
    'create policy member on T using (exists (select from members m where m.id = T.id))',
  ),
  table(
    'finds_none',
    'id int primary key',
    '1',
    'create policy guarded on T using (exists (select from guarded g where g.id = T.id))',
  ),
  table(
    'all_command',
    'id int primary key',
    '1',
    'create policy writes on T for all using (true) with check (hidden.passes(id))',
  ),
  table('by_system', 'id int primary key', '1', 'create policy here on T using (tableoid > 0)'),
  table(
    'raises',
    'id int primary key, data text',
    `1, '5'`,
    `insert into T values (2, 'x')`,
    'create policy number on T using (data::int > 0)',
    'create policy fine on T using (id > 0)',
  ),
  table('empty', 'id int primary key', '1', 'delete from T', 'create policy p on T using (id / 0 = 1)'),
  table(
    'computed',
    'id int primary key, half int generated always as (id / 2) stored',
    '4',
    'create policy even on T using (half = 2)',
  ),
  table('forgotten', 'id int primary key', '1', 'create policy p on T using (true)'),
  'drop table forgotten',
].join(';\n');

/** What the doctor finds, with no settings but `env`. */
export async function examine(url: string, env: Record<string, string> = {}): Promise<Finding[]> {
  const run = await runScript('scripts/doctor.ts', { args: ['--json'], env: { DATABASE_URL: url, ...env } });
  if (run.stdout === '') throw new Error(run.stderr);
  return JSON.parse(run.stdout) as Finding[];
}

/** Makes the policy login, as a start of the server does. */
export async function prepared(host: MigratedDatabase): Promise<void> {
  const { database, db } = host;
  const about = { pool: db.pool, databaseUrl: database.url, policyUrl: undefined, roles: ROLES, log: collectingLog() };
  const settled = await settlePolicyLogin(about);
  if (!settled.ok) throw new Error(settled.message);
}

/** What it does not find in order. */
export const worth = (findings: readonly Finding[], topic: string): Finding[] =>
  findings.filter((finding) => finding.topic === topic && finding.level !== 'ok');
export const saysOk = (findings: readonly Finding[], topic: string): string[] =>
  findings.filter((finding) => finding.topic === topic && finding.level === 'ok').map(({ message }) => message);

// Owns what is written under torture: the tables and the channel of the write load, and two tables under policies,
// whose rows move from one view to another. Now and then one transaction is large.

import type { Client } from 'pg';
import { LOADED_TABLES, type Writing, writeLoad } from './write-load.ts';

/** `notes` by a comparison with a claim, `reports` by what another table says. */
export const TORTURED_TABLES = `
  ${LOADED_TABLES}
  create policy torture_open on realtime.channels for select to public using (true);
  grant select on load to authenticated;
  create table notes (id bigint generated always as identity primary key, org int, writer int, body text);
  create table reports (id bigint generated always as identity primary key, org int, body text);
  create table seats (parity int primary key);
  insert into seats values (0), (1);
  grant select on notes, reports, seats to authenticated;
  alter table notes enable row level security;
  alter table reports enable row level security;
  create policy own on notes for select to authenticated using (org = (auth.jwt() ->> 'org')::int);
  create policy own on reports for select to authenticated using (
    exists (select from seats where parity = org % 2 and parity = (auth.jwt() ->> 'org')::int % 2));
  select realtime.watch('notes', true);
  select realtime.watch('reports', true);`;

const LARGE_ROWS = 4_000;
const MINE = 'id in (select id from notes where writer = $1 order by id desc limit 3)';

/** One transaction's worth. */
export const writeTortured: Writing = async (client, writer, random) => {
  if (random() < 0.7) await writeLoad(client, writer, random);
  if (random() < 0.7) await writeNotes(client, writer, random);
  if (random() < 0.5) await writeReports(client, random);
};

async function writeNotes(client: Client, writer: number, random: () => number): Promise<void> {
  const rows = random() < 0.002 ? LARGE_ROWS : 1 + Math.floor(random() * 4);
  await client.query(
    `insert into notes (org, writer, body) select (n + $2) % 4, $1, 'note ' || n from generate_series(1, $3::int) as n`,
    [writer, Math.floor(random() * 4), rows],
  );
  if (random() < 0.4) await client.query(`update notes set org = (org + 1) % 4 where ${MINE}`, [writer]);
  if (random() < 0.2) await client.query(`delete from notes where ${MINE}`, [writer]);
}

async function writeReports(client: Client, random: () => number): Promise<void> {
  await client.query(`insert into reports (org, body) values ($1, repeat('z', 100))`, [Math.floor(random() * 4)]);
  if (random() < 0.3) {
    await client.query('update reports set org = org + 1 where id = (select max(id) from reports)');
  }
}

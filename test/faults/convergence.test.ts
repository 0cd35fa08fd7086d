// Copies that begin with a snapshot at random moments under write load, with kills between them, are in the end equal
// to what a SELECT shows their role.

import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { mintFor } from '../../scripts/tools/mint.ts';
import { newestPostgres } from '../rig/postgres.ts';
import { figure, randomFrom, scaled, seed } from '../rig/scale.ts';
import { until } from '../rig/until.ts';
import { Copy } from './torture-copy.ts';
import { drawFault, FAULTS } from './torture-faults.ts';
import { type Field, fieldIsWell, openField } from './torture-field.ts';
import { type Interest, interestOf } from './torture-interest.ts';
import { writeTortured } from './torture-load.ts';
import { startWriteLoad } from './write-load.ts';

const MOMENTS = scaled(5, 50);
const TIMEOUT_MS = scaled(120_000, 900_000);
/** The database, its links and frozen servers are the torture's. */
const KILLS = FAULTS.filter(({ name }) =>
  ['server killed', 'killed mid snapshot', 'killed mid replay', 'client links reset'].includes(name),
);

it(
  'copies taken at random moments under write load equal the SELECT under their role, through kills',
  async () => {
    const random = randomFrom(seed);
    const complaints: string[] = [];
    const complain = (text: string): void => void complaints.push(text);
    await using field = await openField({ servers: 1, random, complain, postgres: newestPostgres() });
    const load = await startWriteLoad(field.database, 3, random, { write: writeTortured, pauseMs: 60 });
    const copies: Copy[] = [];
    try {
      for (let moment = 0; moment < MOMENTS; moment++) {
        await sleep(random() * 400);
        copies.push(openCopy(field, tableOf(moment), complain));
        if (random() < 0.6) await drawFault(KILLS, random).strike(field);
        await fieldIsWell(field);
      }
      await until(() => copies.every(({ isLive }) => isLive), { what: 'all copies', timeoutMs: 60_000 });
      await load.stop();
      for (const copy of copies) await expectEqual(field, copy);
    } finally {
      await load.stop();
      await Promise.all(copies.map((copy) => copy.stop()));
    }
    const sum = (count: (copy: Copy) => number): number => copies.reduce((total, copy) => total + count(copy), 0);
    figure(
      `convergence: seed ${seed}, ${MOMENTS} moments, ${sum(({ rows }) => rows.size)} rows in the copies, ` +
        `${sum(({ snapshots }) => snapshots)} snapshots, ${sum(({ resumes }) => resumes)} resumes, ${sum(({ changes }) => changes)} changes`,
    );
    expect(complaints).toEqual([]);
  },
  TIMEOUT_MS,
);

// Interests that are whole tables or views of them, not single events nor topics.
function tableOf(moment: number): Interest {
  const tables = Array.from({ length: 28 }, (_, n) => interestOf(n)).filter(
    ({ channel, filter }) => channel.startsWith('db:') && filter?.event === undefined,
  );
  return tables[moment % tables.length] as Interest;
}

function openCopy({ fleet, config }: Field, interest: Interest, complain: (text: string) => void): Copy {
  const { role, claims } = interest;
  const token = mintFor(config, { role, claims, sub: 'copy', expiresInMs: 3_600_000 });
  return new Copy({ url: fleet.url, token, interest, complain });
}

async function expectEqual(field: Field, copy: Copy): Promise<void> {
  const expected = await selectAs(field, copy.interest);
  const isEqual = (): boolean => JSON.stringify(sorted(copy.rows.values())) === JSON.stringify(expected);
  await until(isEqual, { timeoutMs: 30_000, everyMs: 50 }).catch(() => undefined);
  expect(sorted(copy.rows.values()), copy.interest.channel).toEqual(expected);
}

/** What the role sees, as JSON has it. */
async function selectAs({ database }: Field, { channel, role, claims, filter }: Interest): Promise<unknown[]> {
  const client = await database.connect();
  const table = channel.slice('db:'.length);
  const where = filter?.where === undefined ? 'true' : 'writer < 2';
  try {
    await client.query('begin');
    await client.query(`select set_config('request.jwt.claims', $1, true)`, [JSON.stringify({ role, ...claims })]);
    if (role !== 'service_role') await client.query(`set local role ${role}`);
    const { rows } = await client.query(`select to_json(t) as row from ${table} as t where ${where} order by id`);
    return rows.map(({ row }) => row);
  } finally {
    await client.end();
  }
}

function sorted(rows: Iterable<Readonly<Record<string, unknown>>>): Readonly<Record<string, unknown>>[] {
  return [...rows].sort((a, b) => Number(a.id) - Number(b.id));
}

// The database is gone for a while, with the server restarted in it or not: everything that was committed before and
// after arrives once and in order, and whoever is connected is told how the stream stands.

import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { mintFor } from '../../scripts/tools/mint.ts';
import { figure, randomFrom, scaled, seed } from '../rig/scale.ts';
import { until } from '../rig/until.ts';
import { ClientSubscriber } from './torture-client.ts';
import { type Field, fieldIsWell, openField } from './torture-field.ts';
import { dueTo, interestOf } from './torture-interest.ts';
import { judgeTrail } from './torture-judge.ts';
import { isWhole, Sightings, Trail } from './torture-trail.ts';
import { readOracle } from './wal-oracle.ts';
import { startWriteLoad } from './write-load.ts';

const OUTAGE_MS = scaled(1_500, 30_000);
const TIMEOUT_MS = 60_000 + 3 * OUTAGE_MS;

const complaints: string[] = [];
let field: Field;
beforeAll(async () => {
  field = await openField({ servers: 1, random: randomFrom(seed), complain: (text) => complaints.push(text) });
}, TIMEOUT_MS);
afterAll(() => field[Symbol.asyncDispose]());

it.each([
  ['outlives the server', false],
  ['sees the server restarted', true],
])(
  'everything arrives behind an outage of the database that %s',
  async (what, isRestarted) => {
    const statuses: string[] = [];
    const trail = new Trail('client', interestOf(0));
    const client = subscribed(trail, (status) => statuses.push(status));
    await until(() => trail.entries.length > 0, { what: 'to be subscribed' });
    const load = await startWriteLoad(field.database, 2, field.random);
    await until(() => trail.messages > 50, { what: 'changes to flow' });

    const goneAt = performance.now();
    await field.cluster?.kill();
    await until(() => statuses.includes('stalled'), { what: 'to be told that the stream stalled' });
    if (isRestarted) await restartServer();
    // The outage itself is what is waited for.
    await sleep(OUTAGE_MS - (performance.now() - goneAt));
    const before = trail.messages;
    await field.cluster?.revive();
    const backAt = performance.now();
    await until(() => trail.messages > before, { what: 'changes to flow again', timeoutMs: 30_000 });
    const againMs = performance.now() - backAt;
    await load.stop();
    await fieldIsWell(field);

    const due = dueTo(trail.interest, await readOracle(field.database));
    await until(() => isWhole(trail, due), { what: 'all changes', timeoutMs: 30_000 }).catch(() => undefined);
    await client.stop();
    figure(
      `outage: ${Math.round((backAt - goneAt) / 100) / 10} s, ${what}; ${trail.messages} changes arrived, ` +
        `the first ${Math.round(againMs)} ms after the database was back`,
    );
    expect(judgeTrail(due, trail)).toMatchObject({ lost: 0, duplicated: 0, disordered: 0, wrong: 0, samples: [] });
    expect(trail.entries.filter(({ kind }) => kind === 'gap' || kind === 'unrecovered')).toEqual([]);
    expect(complaints).toEqual([]);
    // Who connects when changes flow again is told nothing: that they flow is what is not told.
    if (!isRestarted) expect(statuses.slice(-2)).toEqual(['stalled', 'streaming']);
  },
  TIMEOUT_MS,
);

function subscribed(trail: Trail, onSystem: (status: string) => void): ClientSubscriber {
  const token = mintFor(field.config, { role: 'service_role', sub: 'outage', expiresInMs: 3_600_000 });
  const { fleet, random } = field;
  const complain = (text: string): void => void complaints.push(text);
  const common = { url: fleet.url, token, sightings: new Sightings(), random, complain };
  return new ClientSubscriber({ ...common, trails: [trail], onSystem, isCalm: true });
}

async function restartServer(): Promise<void> {
  const member = field.fleet.leader;
  member.expectEnd();
  const { server } = member;
  server.kill('SIGTERM');
  await server.whenEnded;
}

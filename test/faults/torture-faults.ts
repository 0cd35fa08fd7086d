// Owns what is done to servers, database and links under torture. A fault resolves once what it broke is mended;
// what comes of it is the oracle's business.

import { setTimeout as sleep } from 'node:timers/promises';
import { until } from '../rig/until.ts';
import { FAILPOINTS, type FailpointName } from './failpoints.ts';
import type { TcpProxy } from './tcp-proxy.ts';
import type { Field } from './torture-field.ts';
import type { Member } from './torture-fleet.ts';

export type Fault = {
  readonly name: string;
  /** How often it is drawn, against the others. */
  readonly weight: number;
  /** False: it did not come to pass. */
  readonly strike: (field: Field) => Promise<boolean>;
};

/** The one fault that ends an epoch. */
export const SLOT_DROPPED = 'slot dropped';
/** How long a failpoint may wait to be passed. */
const FAILPOINT_MS = 4_000;
const MOST_PASSINGS = 4;

const SHARED: readonly Fault[] = [
  { name: 'server killed', weight: 3, strike: (field) => endServer(field, 'SIGKILL') },
  { name: 'server stopped', weight: 1, strike: (field) => endServer(field, 'SIGTERM') },
  { name: 'server frozen', weight: 2, strike: freeze },
  { name: 'database crashed', weight: 2, strike: crashDatabase },
  { name: SLOT_DROPPED, weight: 0.3, strike: dropSlot },
  { name: 'walsender terminated', weight: 2, strike: (field) => terminate(field, WALSENDER) },
  { name: 'journal terminated', weight: 2, strike: (field) => terminate(field, JOURNAL) },
  { name: 'pools terminated', weight: 1, strike: (field) => terminate(field, POOLS) },
  { name: 'database links reset', weight: 2, strike: async ({ fleet }) => reset(fleet.leader.database) },
  { name: 'client links reset', weight: 2, strike: async ({ fleet }) => reset(fleet.front) },
  { name: 'database link silent', weight: 2, strike: (field) => silence(field, field.fleet.leader.database, 6_000) },
  { name: 'client links silent', weight: 1, strike: (field) => silence(field, field.fleet.front, 4_000) },
  { name: 'database link slow', weight: 1, strike: (field) => slow(field, field.fleet.leader.database) },
  { name: 'client links slow', weight: 1, strike: (field) => slow(field, field.fleet.front) },
];

/** All faults. */
export const FAULTS: readonly Fault[] = [
  ...SHARED,
  ...(Object.keys(FAILPOINTS) as FailpointName[]).map((name) => ({
    name: `killed ${name.replaceAll('_', ' ')}`,
    weight: 2,
    strike: (field: Field) => failAt(field, name),
  })),
];

/** One of them, by weight. */
export function drawFault(faults: readonly Fault[], random: () => number): Fault {
  let left = random() * faults.reduce((sum, { weight }) => sum + weight, 0);
  for (const fault of faults) {
    left -= fault.weight;
    if (left < 0) return fault;
  }
  return faults[0] as Fault;
}

async function endServer({ fleet, random }: Field, signal: 'SIGKILL' | 'SIGTERM'): Promise<boolean> {
  // Mostly the one that leads; now and then in its start, or the standby.
  const member = random() < 0.8 ? fleet.leader : (fleet.members[Math.floor(random() * fleet.members.length)] as Member);
  const { server } = member;
  if (server.exit !== undefined) return false;
  member.expectEnd();
  server.kill(signal);
  await server.whenEnded;
  return true;
}

async function failAt({ fleet, random }: Field, name: FailpointName): Promise<boolean> {
  const { leader } = fleet;
  const { server } = leader;
  if (server.exit !== undefined) return false;
  leader.expectEnd();
  await server.arm(name, 1 + Math.floor(random() * MOST_PASSINGS));
  const died = await Promise.race([server.whenEnded.then(() => true), sleep(FAILPOINT_MS).then(() => false)]);
  if (died) return true;
  await server.arm();
  if (server.exit !== undefined) return true;
  leader.expectNoEnd();
  return false;
}

// Longer than a lease, or shorter.
async function freeze({ fleet, random }: Field): Promise<boolean> {
  const { server } = fleet.leader;
  server.kill('SIGSTOP');
  await sleep(300 + random() * 5_000);
  server.kill('SIGCONT');
  return true;
}

async function crashDatabase({ cluster, random }: Field): Promise<boolean> {
  if (cluster === undefined) return false;
  await cluster.kill();
  await sleep(random() * 1_500);
  await cluster.revive();
  return true;
}

const WALSENDER = `pid in (select active_pid from pg_replication_slots where slot_name = $1)`;
const JOURNAL = `application_name = 'rowcast journal' and $1::text is not null`;
const POOLS = `application_name like 'rowcast%' and application_name <> 'rowcast journal' and $1::text is not null`;

async function terminate({ database }: Field, which: string): Promise<boolean> {
  const terminated = await database.query(
    `select pg_terminate_backend(pid) from pg_stat_activity where ${which} and datname = current_database()`,
    [database.slot],
  );
  return terminated.length > 0;
}

// What is committed before there is a new slot never comes, and everybody is told.
async function dropSlot(field: Field): Promise<boolean> {
  const { database } = field;
  await until(
    async () => {
      await terminate(field, WALSENDER);
      await database.query('select pg_drop_replication_slot($1)', [database.slot]);
      return true;
    },
    { what: 'the slot to be dropped' },
  );
  return true;
}

async function reset(link: TcpProxy): Promise<boolean> {
  link.reset();
  return true;
}

async function silence({ random }: Field, link: TcpProxy, longestMs: number): Promise<boolean> {
  const drawn = random();
  link.blackhole(drawn < 0.5 ? 'both' : drawn < 0.75 ? 'toServer' : 'toClient');
  await sleep(500 + random() * longestMs);
  // Half of such links never come back: what lay between has forgotten them.
  if (random() < 0.5) link.reset();
  link.heal();
  return true;
}

async function slow({ random }: Field, link: TcpProxy): Promise<boolean> {
  link.throttle(20_000);
  await sleep(500 + random() * 2_000);
  link.throttle(null);
  return true;
}

// Owns the torture: writers, subscribers that behave badly, servers and a database that are broken again and again,
// and in the end the comparison of every trail with an independent decoding of the same WAL.

import { setImmediate as immediate, setTimeout as sleep } from 'node:timers/promises';
import { mintFor } from '../../scripts/tools/mint.ts';
import type { TestDatabase, TestPostgres } from '../rig/postgres.ts';
import { until } from '../rig/until.ts';
import { countHistory } from './history-ledger.ts';
import type { Plant } from './plant.ts';
import { ClientSubscriber } from './torture-client.ts';
import { drawFault, FAULTS, type Fault, SLOT_DROPPED } from './torture-faults.ts';
import { type Field, fieldIsWell, openField, RECOVERY_MS } from './torture-field.ts';
import { channelOf, type Due, dueTo, interestOf, KIND_COUNT } from './torture-interest.ts';
import { judgeTrail } from './torture-judge.ts';
import { writeTortured } from './torture-load.ts';
import { RawSubscriber } from './torture-raw.ts';
import { reportOf, type TortureReport } from './torture-report.ts';
import type { Subscriber } from './torture-subscriber.ts';
import { isWhole, Sightings, Trail } from './torture-trail.ts';
import { type OracleChange, readOracle } from './wal-oracle.ts';
import { startWriteLoad } from './write-load.ts';

export type TortureOptions = {
  readonly ms: number;
  readonly random: () => number;
  /** Connections, each with two subscriptions. */
  readonly subscribers: number;
  readonly writers: number;
  /** The longest pause of a writer behind a transaction. */
  readonly writerPauseMs: number;
  /** The longest pause behind a fault. */
  readonly faultPauseMs: number;
  /** Default 2: one leads, one waits. */
  readonly servers?: number | undefined;
  /** Where the database is made if no fault breaks it; default: a cluster of its own. */
  readonly postgres?: TestPostgres | undefined;
  readonly faults?: readonly Fault[] | undefined;
  readonly plants?: readonly Plant[] | undefined;
  readonly say?: ((line: string) => void) | undefined;
  /** How long the last server may take to bring everybody up to date. */
  readonly settleMs?: number | undefined;
};

/** Of a run of minutes: everybody may be far behind, and each row is judged for each. */
const SETTLE_MS = 150_000;

export async function runTorture(options: TortureOptions): Promise<TortureReport> {
  const complaints: string[] = [];
  const { plants, random } = options;
  const complain = (text: string): void => void complaints.push(text);
  await using field = await openField({
    servers: options.servers ?? 2,
    random,
    plants,
    complain,
    postgres: options.postgres,
  });
  return await new Torture(options, field, complaints).run();
}

class Torture {
  readonly #options: TortureOptions;
  readonly #field: Field;
  readonly #complaints: string[];
  readonly #sightings = new Sightings();
  readonly #faults = new Map<string, number>();
  #longestRecoveryMs = 0;

  constructor(options: TortureOptions, field: Field, complaints: string[]) {
    this.#options = options;
    this.#field = field;
    this.#complaints = complaints;
  }

  async run(): Promise<TortureReport> {
    const { writers, random, writerPauseMs, ms } = this.#options;
    const subscribers = Array.from({ length: this.#options.subscribers }, (_, index) => this.#subscriber(index));
    const trails = subscribers.flatMap((subscriber) => subscriber.trails);
    try {
      const isSubscribed = (): boolean => trails.every(({ entries }) => entries.length > 0);
      await until(isSubscribed, { what: 'all to be subscribed', timeoutMs: RECOVERY_MS });
      const writing = { write: writeTortured, pauseMs: writerPauseMs };
      const load = await startWriteLoad(this.#field.database, writers, random, writing);
      await this.#strike(performance.now() + ms);
      for (const subscriber of subscribers) subscriber.calm();
      await load.stop();
      return await this.#verdict(trails);
    } finally {
      await Promise.all(subscribers.map((subscriber) => subscriber.stop()));
    }
  }

  #subscriber(index: number): Subscriber {
    const { random } = this.#options;
    const { fleet, config } = this.#field;
    const { role, claims } = interestOf(index);
    const token = mintFor(config, { role, claims, sub: `s${index}`, expiresInMs: 86_400_000 });
    // Of the same identity: interests come round, each time for another one.
    const trails = [index, index + KIND_COUNT * 4].map((n, nth) => new Trail(`${index}.${nth}`, interestOf(n)));
    const complain = (text: string): void => void this.#complaints.push(`subscriber ${index}: ${text}`);
    const options = { url: fleet.url, token, sightings: this.#sightings, trails, random, complain };
    return index % 3 === 2 ? new ClientSubscriber(options) : new RawSubscriber(options);
  }

  async #strike(end: number): Promise<void> {
    const { random, faults = FAULTS, faultPauseMs, say } = this.#options;
    while (performance.now() < end) {
      const fault = drawFault(faults, random);
      const isStruck = await fault.strike(this.#field);
      if (isStruck) this.#faults.set(fault.name, (this.#faults.get(fault.name) ?? 0) + 1);
      const backMs = await this.#recover(fault);
      this.#longestRecoveryMs = Math.max(this.#longestRecoveryMs, backMs);
      const what = isStruck ? `well again after ${Math.round(backMs)} ms` : 'did not come to pass';
      say?.(`${fault.name}: ${what}; ${this.#sightings.deliveries} deliveries`);
      await sleep(random() * faultPauseMs);
    }
  }

  // Never a silent dead state: soon after each fault changes flow again.
  async #recover(fault: Fault): Promise<number> {
    const mendedAt = performance.now();
    const before = this.#sightings.deliveries;
    try {
      await fieldIsWell(this.#field);
      await until(() => this.#sightings.deliveries > before, { what: 'deliveries', timeoutMs: RECOVERY_MS });
    } catch (error) {
      this.#complaints.push(`not back within ${RECOVERY_MS} ms after ${fault.name}: ${(error as Error).message}`);
    }
    return performance.now() - mendedAt;
  }

  async #verdict(trails: readonly Trail[]): Promise<TortureReport> {
    const { database } = this.#field;
    await fieldIsWell(this.#field).catch((error: Error) => this.#complaints.push(error.message));
    const committed = await readOracle(database);
    const all = await allDue(trails, committed);
    const timeoutMs = this.#options.settleMs ?? SETTLE_MS;
    const settled = until(() => all.every(({ trail, due }) => isWhole(trail, due)), { timeoutMs, everyMs: 100 });
    await settled.catch(() => {
      const behind = all.filter(({ trail, due }) => !isWhole(trail, due)).map(({ trail }) => trail.name);
      this.#complaints.push(
        `behind after ${timeoutMs} ms: ${behind.join(' ')}; ${this.#field.fleet.leader.lastWords()}`,
      );
    });
    this.#complaints.push(...(await floorsOf(database)));
    return reportOf({
      committed: committed.length,
      deliveries: this.#sightings.deliveries,
      disputes: this.#sightings.disputes,
      complaints: this.#complaints,
      faults: this.#faults,
      epochs: { begun: await epochsOf(database), explained: 1 + (this.#faults.get(SLOT_DROPPED) ?? 0) },
      longestRecoveryMs: this.#longestRecoveryMs,
      history: await countHistory(database),
      findings: all.map(({ trail, due }) => judgeTrail(due, trail)),
    });
  }
}

// One by one, with a turn for the sockets and proxies of this process in between: they are still under way.
async function allDue(
  trails: readonly Trail[],
  committed: readonly OracleChange[],
): Promise<{ trail: Trail; due: Due[] }[]> {
  const told = Map.groupBy(committed, channelOf);
  const all: { trail: Trail; due: Due[] }[] = [];
  for (const trail of trails) {
    all.push({ trail, due: dueTo(trail.interest, told.get(trail.interest.channel) ?? []) });
    await immediate();
  }
  return all;
}

// Nothing is removed, and all tables are watched and kept from the start: history is whole from there, and says so.
async function floorsOf(database: TestDatabase): Promise<string[]> {
  const rows = await database.query(
    `select source, channel_key, cause, position from realtime.history_floors where cause <> 'not_watched'`,
  );
  return rows.map((row) => `a floor of history: ${JSON.stringify(row)}`);
}

async function epochsOf(database: TestDatabase): Promise<number> {
  const [row] = await database.query<{ n: number }>(
    `select count(distinct epoch)::int as n from (
       select left(position, 8) as epoch from realtime.changes
       union all select lpad(to_hex(epoch), 8, '0') from realtime.checkpoint) as e`,
  );
  return row?.n ?? 0;
}

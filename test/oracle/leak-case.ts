// Owns one random case over the whole server: makes tables, access and subscribers, lets writers work, changes
// who may see what, and has every quiet moment checked.

import { Client, escapeIdentifier } from 'pg';
import { startTestApp, type TestApp } from '../app/test-app.ts';
import type { TestPostgres } from '../rig/postgres.ts';
import { randomFrom } from '../rig/scale.ts';
import { APP_ROLES, accessSql, ROLES_SQL } from './access-plan.ts';
import { makeFilter, makeMembers, NO_FILTER, renewed } from './audience-plan.ts';
import { TEAMS, USERS } from './column-kind.ts';
import { Dice } from './dice.ts';
import { FENCE_SQL, Fence } from './fence.ts';
import { isCollision, seedRows, truncateAll, write } from './mutations.ts';
import { createTableSql, makeTables, type OracleTable, SIDE_SCHEMA } from './oracle-table.ts';
import type { PlantedBug } from './planted-bug.ts';
import { MEMBERS_SECURED, POLICY_GROUND } from './policy-grammar.ts';
import {
  checkCopies,
  checkSubscriber,
  checkWitness,
  fileImages,
  type Moment,
  type MomentReport,
} from './quiet-moment.ts';
import { ShadowJudge } from './shadow-judge.ts';
import { Subscriber } from './subscriber.ts';
import { upheaval } from './upheaval.ts';
import { violation } from './violation.ts';
import { createWalSlot, takeWalChanges } from './wal-images.ts';

export type CaseOptions = {
  readonly postgres: TestPostgres;
  readonly seed: number;
  readonly rounds: number;
  /** Transactions of each of the writers in a round. */
  readonly transactions: number;
  readonly upheavals: number;
  /** Planted once the server is up. */
  readonly bug?: PlantedBug | undefined;
};

export type CaseReport = MomentReport & { changes: number; readonly seed: number };

const WRITERS = 3;
/** Users that get other claims at the end of a round. */
const RENEWALS = 4;
/** After that many a case ends early: it has said enough. One with a bug ends with the first leak. */
const ENOUGH_VIOLATIONS = 300;

export async function runLeakCase(options: CaseOptions): Promise<CaseReport> {
  const dice = new Dice(randomFrom(options.seed));
  await onServer(options.postgres, ROLES_SQL);
  const tables = makeTables(dice, dice.between(2, 4));
  const app = await startTestApp(options.postgres, {
    env: { ROWCAST_ROLES: APP_ROLES.join(',') },
    sql: setUpSql(dice, tables),
  });
  const run = new LeakRun(options, dice, tables, app);
  try {
    await run.open();
    for (let round = 1; round <= options.rounds && !run.isDone; round++) await run.round(round);
    return run.report;
  } finally {
    await run.close();
    await app[Symbol.asyncDispose]();
  }
}

function setUpSql(dice: Dice, tables: readonly OracleTable[]): string {
  const members = USERS.slice(0, 6).map((user) => `(${dice.pick(TEAMS)}, '${user}')`);
  return [
    `create schema ${escapeIdentifier(SIDE_SCHEMA)};`,
    POLICY_GROUND,
    `insert into public.member values ${members.join(', ')};`,
    dice.chance(0.5) ? MEMBERS_SECURED : '',
    ...tables.map(createTableSql),
    accessSql(dice, tables),
    FENCE_SQL,
    'create policy everybody on realtime.channels for select to public using (true);',
  ].join('\n');
}

class LeakRun {
  readonly report: CaseReport;
  readonly #options: CaseOptions;
  readonly #dice: Dice;
  readonly #tables: readonly OracleTable[];
  readonly #app: TestApp;
  readonly #fence: Fence;
  #subscribers: Subscriber[] = [];
  #writers: Client[] = [];

  constructor(options: CaseOptions, dice: Dice, tables: readonly OracleTable[], app: TestApp) {
    this.#options = options;
    this.#dice = dice;
    this.#tables = tables;
    this.#app = app;
    this.#fence = new Fence(app.database);
    this.report = {
      violations: [],
      decisions: 0,
      visible: 0,
      frames: 0,
      copies: 0,
      gaps: 0,
      withheld: 0,
      changes: 0,
      seed: options.seed,
    };
  }

  get isDone(): boolean {
    const { violations } = this.report;
    if (this.#options.bug !== undefined) return violations.some(({ kind }) => kind === 'leak');
    return violations.length >= ENOUGH_VIOLATIONS;
  }

  async open(): Promise<void> {
    const { database, config, url } = this.#app;
    if (this.#options.bug !== undefined) await database.query(this.#options.bug.sql(this.#tables));
    await createWalSlot(database);
    this.#writers = await Promise.all(Array.from({ length: WRITERS }, () => database.connect()));
    // Deadlocks of writers who truncate must not lock the rules of a table for as long as the judge waits for them.
    for (const writer of this.#writers) await writer.query(`set deadlock_timeout = '20ms'`);
    this.#subscribers = await Promise.all(
      makeMembers(this.#dice, config).map((member) => Subscriber.connect(url, member)),
    );
    await this.#subscribeAll();
  }

  /** Concurrent writers, then changes of access one by one, then empty tables and other claims for some. */
  async round(number: number): Promise<void> {
    const moment = (what: string): string => `seed ${this.#options.seed}, round ${number}, ${what}`;
    await this.#commit([seedRows(this.#dice, this.#tables)]);
    await this.#writeTogether();
    await this.#check(moment('writers'), true);
    for (let count = 1; count <= this.#options.upheavals && !this.isDone; count++) {
      const statements = upheaval(this.#dice, this.#tables);
      if (await this.#commit(statements))
        await this.#check(`${moment(`upheaval ${count}`)} (${statements.join('; ')})`, false);
    }
    await this.#commit([truncateAll(this.#tables)]);
    await this.#check(moment('truncate'), false);
    for (const { subscriptions } of this.#subscribers) for (const { copy } of subscriptions.values()) copy.clear();
    await this.#renewSome();
    await this.#subscribeAll();
  }

  async close(): Promise<void> {
    await Promise.all(this.#subscribers.map((subscriber) => subscriber.close()));
    await Promise.all(this.#writers.map((writer) => writer.end()));
  }

  async #renewSome(): Promise<void> {
    const { config } = this.#app;
    for (const subscriber of this.#dice.sample(this.#subscribers.slice(1), RENEWALS)) {
      await subscriber.renew(renewed(this.#dice, config, subscriber.member));
    }
  }

  async #writeTogether(): Promise<void> {
    const sources = this.#writers.map(() => this.#dice.fork());
    await Promise.all(
      this.#writers.map((writer, index) =>
        write(writer, sources[index] as Dice, this.#tables, this.#options.transactions),
      ),
    );
  }

  /** One transaction; false where it had to be rolled back. */
  async #commit(statements: readonly string[]): Promise<boolean> {
    const writer = this.#writers[0] as Client;
    try {
      await writer.query('begin');
      for (const sql of statements) await writer.query(sql);
      await writer.query('commit');
      return true;
    } catch (error) {
      await writer.query('rollback');
      if (!isCollision(error)) throw new Error(`a transaction failed: ${statements.join('; ')}`, { cause: error });
      return false;
    }
  }

  /** Whoever has no live subscription asks for one; it is refused exactly where the role may read no column. */
  async #subscribeAll(): Promise<void> {
    await using judge = await ShadowJudge.open(this.#app.database);
    for (const subscriber of this.#subscribers) {
      for (const table of this.#tables) {
        if (subscriber.subscriptions.get(table)?.state === 'live') continue;
        await this.#subscribe(judge, subscriber, table);
      }
    }
  }

  async #subscribe(judge: ShadowJudge, subscriber: Subscriber, table: OracleTable): Promise<void> {
    const { isAdmin } = subscriber.member;
    const { columns } = await judge.facts(table, subscriber.viewer.role);
    const filter = isAdmin || columns.size === 0 ? NO_FILTER : makeFilter(this.#dice, table, columns);
    const refusal = await subscriber.subscribe(table, filter);
    if ((refusal === undefined) === (isAdmin || columns.size > 0)) return;
    const scene = { subscriber, table, filter, moment: `seed ${this.#options.seed}, subscribing` };
    const access = await judge.describe(table);
    this.report.violations.push(violation('subscription', scene, refusal ?? 'it was not refused', { access }));
  }

  async #check(name: string, withCopies: boolean): Promise<void> {
    const number = await this.#fence.raise();
    const taken = await Promise.all(this.#subscribers.map((subscriber) => subscriber.take(number)));
    const changes = await takeWalChanges(this.#app.database);
    await using judge = await ShadowJudge.open(this.#app.database);
    const [witness, ...others] = this.#subscribers as [Subscriber, ...Subscriber[]];
    const moment: Moment = { name, judge, witness, tables: this.#tables, changes, report: this.report };
    this.report.changes += changes.length;
    await fileImages(moment);
    const testimony = checkWitness(moment, taken[0] as NonNullable<(typeof taken)[0]>);
    for (const [index, subscriber] of others.entries()) {
      await checkSubscriber(moment, subscriber, taken[index + 1] as NonNullable<(typeof taken)[0]>, testimony);
      if (withCopies) await checkCopies(moment, subscriber);
    }
  }
}

async function onServer(postgres: TestPostgres, sql: string): Promise<void> {
  const client = new Client({ connectionString: postgres.url });
  await client.connect();
  await client.query(sql).finally(() => client.end());
}

// Owns the stage of the cases that measure from a commit to sockets: a database, one of the two servers over
// it, and receivers, each a process of its own.

import { must } from '../server/lib/assert.ts';
import type { Bench } from './bench-case.ts';
import { type BenchDatabase, createBenchDatabase, migrateBenchDatabase } from './bench-database.ts';
import { MeasuredProcess } from './measured-process.ts';
import type { ExpectOrder, Received, ServerAddress } from './processes/receive-order.ts';
import type { ServeOrder } from './processes/rowcast-server.ts';
import { CREATE_TABLE } from './sample-rows.ts';

export type StageOptions = {
  readonly server: 'rowcast' | 'notify';
  readonly subscribers: number;
  /** What they subscribe to; default: the rows. */
  readonly channel?: string | undefined;
  /** Settings of the server, by variable. */
  readonly env?: Readonly<Record<string, string>> | undefined;
};

const OPEN_CHANNEL = 'insert into realtime.channels (pattern) values ($1)';

export class Stage implements AsyncDisposable {
  readonly database: BenchDatabase;
  readonly server: MeasuredProcess;
  readonly #receiver: MeasuredProcess;
  #address: ServerAddress | undefined;

  static async open(bench: Bench, options: StageOptions): Promise<Stage> {
    const database = await createBenchDatabase(bench.serverUrl);
    const script = options.server === 'rowcast' ? 'processes/rowcast-server.ts' : 'baselines/notify-server.ts';
    const server = MeasuredProcess.start(script, bench);
    const stage = new Stage(database, server, MeasuredProcess.start('processes/receiver.ts'));
    try {
      await stage.#fill(options);
      return stage;
    } catch (error) {
      await stage[Symbol.asyncDispose]();
      throw error;
    }
  }

  private constructor(database: BenchDatabase, server: MeasuredProcess, receiver: MeasuredProcess) {
    this.database = database;
    this.server = server;
    this.#receiver = receiver;
  }

  get address(): ServerAddress {
    return must(this.#address, 'the address of the server');
  }

  /** From now on every subscriber must get so many messages; `received` tells when. */
  expect(order: ExpectOrder): Promise<void> {
    return this.#receiver.call('expect', order);
  }

  received(): Promise<Received> {
    return this.#receiver.call<Received>('received');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#receiver[Symbol.asyncDispose]();
    await this.server[Symbol.asyncDispose]();
    await this.database[Symbol.asyncDispose]();
  }

  async #fill({ server, subscribers, channel, env }: StageOptions): Promise<void> {
    const policyUrl = server === 'rowcast' ? await migrateBenchDatabase(this.database) : this.database.url;
    await this.database.query(CREATE_TABLE);
    if (server === 'rowcast') await this.database.query(`select realtime.watch('bench_rows')`);
    const order: ServeOrder = { databaseUrl: this.database.url, policyUrl, slot: this.database.slot, channel, env };
    if (channel !== undefined) await this.database.query(OPEN_CHANNEL, [channel]);
    this.#address = await this.server.call<ServerAddress>('serve', order);
    await this.#receiver.call('connect', { ...this.#address, count: subscribers });
  }
}

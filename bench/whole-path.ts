// Owns the stage of the cases that measure from a commit to sockets: a database, one of the two servers over
// it, and receivers, each a process of its own.

import type { Bench } from './bench-case.ts';
import { type BenchDatabase, createBenchDatabase, migrateBenchDatabase } from './bench-database.ts';
import { MeasuredProcess } from './measured-process.ts';
import type { ExpectOrder, Received, ServerAddress } from './processes/receive-order.ts';
import type { ServeOrder } from './processes/rowcast-server.ts';
import { CREATE_TABLE } from './sample-rows.ts';

export type StageOptions = {
  readonly server: 'rowcast' | 'notify';
  readonly subscribers: number;
  /** Settings of the server, by variable. */
  readonly env?: Readonly<Record<string, string>> | undefined;
};

export class Stage implements AsyncDisposable {
  readonly database: BenchDatabase;
  readonly server: MeasuredProcess;
  readonly #receiver: MeasuredProcess;

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

  async #fill({ server, subscribers, env }: StageOptions): Promise<void> {
    const policyUrl = server === 'rowcast' ? await migrateBenchDatabase(this.database) : this.database.url;
    await this.database.query(CREATE_TABLE);
    if (server === 'rowcast') await this.database.query(`select realtime.watch('bench_rows')`);
    const order: ServeOrder = { databaseUrl: this.database.url, policyUrl, slot: this.database.slot, env };
    const address = await this.server.call<ServerAddress>('serve', order);
    await this.#receiver.call('connect', { ...address, count: subscribers });
  }
}

// Owns the servers under torture: each reaches the database through a proxy of its own and is started again whenever
// it ends, as under a process manager; clients reach whichever leads through one front, as behind a load balancer.

import { setTimeout as sleep } from 'node:timers/promises';
import type { TestDatabase } from '../rig/postgres.ts';
import { until } from '../rig/until.ts';
import type { Plant } from './plant.ts';
import { ServerProcess } from './server-process.ts';
import { startTcpProxy, type TcpProxy } from './tcp-proxy.ts';

export type FleetOptions = {
  readonly database: Pick<TestDatabase, 'url'>;
  readonly env: Readonly<Record<string, string>>;
  readonly servers: number;
  readonly plants: readonly Plant[];
  readonly random: () => number;
  readonly complain: (text: string) => void;
};

const HOST = '127.0.0.1';
const LOOK_MS = 50;
const ANSWER_MS = 500;
const WARN = 40;
const LAST_WORDS = 4;
/** A port of nobody, until somebody leads. */
const NOWHERE = { host: HOST, port: 1 };

export class Fleet {
  readonly front: TcpProxy;
  readonly members: readonly Member[];
  readonly #watching: Promise<void>;
  #leader: Member | undefined;
  #isStopped = false;

  static async start(options: FleetOptions): Promise<Fleet> {
    const front = await startTcpProxy(NOWHERE);
    const members = await Promise.all(
      Array.from({ length: options.servers }, (_, index) => Member.start(options, index + 1)),
    );
    return new Fleet(front, members);
  }

  private constructor(front: TcpProxy, members: readonly Member[]) {
    this.front = front;
    this.members = members;
    this.#watching = this.#watch();
  }

  /** Where clients connect. */
  get url(): string {
    return `ws://${HOST}:${this.front.port}/realtime`;
  }

  /** The member that said last that it leads and streams. */
  get leader(): Member {
    return this.#leader ?? (this.members[0] as Member);
  }

  /** Waits until somebody leads and streams, as it says itself. */
  async ready(timeoutMs: number): Promise<void> {
    const isFound = async (): Promise<boolean> => (await this.#findLeader()) !== undefined;
    await until(isFound, { what: 'a server that streams', timeoutMs, everyMs: LOOK_MS }).catch((error: Error) => {
      const answers = this.members.map(({ name, answer }) => `${name} says ${answer}`);
      throw new Error(`${error.message}: ${answers.join('; ')}`);
    });
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#watching;
    await Promise.all(this.members.map((member) => member.stop()));
    await this.front[Symbol.asyncDispose]();
  }

  async #watch(): Promise<void> {
    while (!this.#isStopped) {
      await this.#findLeader();
      await sleep(LOOK_MS);
    }
  }

  // Who leads already is asked first: a frozen leader that comes back says so for a moment.
  async #findLeader(): Promise<Member | undefined> {
    const ready = await Promise.all(this.members.map((member) => member.isReady()));
    const found = this.members.find((_, index) => ready[index]);
    if (found === undefined || this.#isStopped) return undefined;
    this.#leader = found;
    this.front.retarget({ host: HOST, port: found.port });
    return found;
  }
}

export class Member {
  readonly name: string;
  /** Between it and the database. */
  readonly database: TcpProxy;
  readonly #options: FleetOptions;
  readonly #env: Readonly<Record<string, string>>;
  readonly #running: Promise<void>;
  #server: ServerProcess;
  #mayEnd = false;
  #isStopped = false;
  port = NOWHERE.port;
  /** To the last question whether it is ready. */
  answer = '';

  static async start(options: FleetOptions, number: number): Promise<Member> {
    const url = new URL(options.database.url);
    const proxy = await startTcpProxy({ host: url.hostname, port: Number(url.port) });
    url.port = String(proxy.port);
    return new Member(`server ${number}`, options, proxy, url.href);
  }

  private constructor(name: string, options: FleetOptions, database: TcpProxy, databaseUrl: string) {
    this.name = name;
    this.database = database;
    this.#options = options;
    this.#env = { ...options.env, DATABASE_URL: databaseUrl };
    this.#server = this.#spawn();
    this.#running = this.#run();
  }

  /** The process as it is now. Whoever ends it says so by `expectEnd`. */
  get server(): ServerProcess {
    return this.#server;
  }

  /** Its next end is no complaint. */
  expectEnd(): void {
    this.#mayEnd = true;
  }

  expectNoEnd(): void {
    this.#mayEnd = false;
  }

  async isReady(): Promise<boolean> {
    const url = `http://${HOST}:${this.port}/readyz`;
    const options = { headers: { connection: 'close' }, signal: AbortSignal.timeout(ANSWER_MS) };
    try {
      const response = await fetch(url, options);
      this.answer = await response.text();
      return response.ok;
    } catch (error) {
      this.answer = `nothing (${(error as Error).message}), ${this.#server.isGreeted ? 'greeted' : 'not greeted'}`;
      return false;
    }
  }

  /** What its log says last that is worse than usual. */
  lastWords(): string {
    const worse = this.#server.logs.filter(({ level }) => level >= WARN).slice(-LAST_WORDS);
    return `${this.name} logged ${worse.map((line) => JSON.stringify(line)).join(' ')}`;
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#server.kill('SIGCONT');
    this.#server.kill('SIGKILL');
    await this.#running;
    await this.database[Symbol.asyncDispose]();
  }

  #spawn(): ServerProcess {
    return ServerProcess.spawnWithFailpoints(this.#env, this.#options.plants);
  }

  async #run(): Promise<void> {
    while (!this.#isStopped) {
      await this.#live();
      await sleep(50 + this.#options.random() * 500);
      if (!this.#isStopped) this.#server = this.#spawn();
    }
    await this.#server.ended();
  }

  async #live(): Promise<void> {
    const server = this.#server;
    this.port = await server.greeted(60_000).catch(() => NOWHERE.port);
    const { code, signal } = await server.whenEnded;
    this.port = NOWHERE.port;
    // A start without a database may be refused; the manager tries again.
    const isRefusedStart = !server.isGreeted && code === 1;
    if (!this.#mayEnd && !this.#isStopped && !isRefusedStart) {
      this.#options.complain(`${this.name} ended by itself (${code ?? signal}): ${server.words.slice(-500)}`);
    }
    this.#mayEnd = false;
  }
}

// Owns a small TCP proxy between a server and its database, or a client and its server, that breaks the link as
// networks do: resets, silence in one direction or both, a slow line. Silence loses nothing by itself: like TCP
// over a healed network, what was sent meanwhile arrives afterwards, an end or a reset of the link included.

import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

export type ProxyTarget = { readonly host: string; readonly port: number };

export type ProxyDirection = 'toServer' | 'toClient';

export interface TcpProxy extends AsyncDisposable {
  /** Listens on 127.0.0.1. */
  readonly port: number;
  /** Open links. */
  readonly connections: number;
  /** Where new connections go. */
  retarget(target: ProxyTarget): void;
  /** Resets all links, both ends at once. */
  reset(): void;
  /** Nothing gets through any more and nothing is closed; new connections are accepted and hang. */
  blackhole(direction: ProxyDirection | 'both'): void;
  /** Lets everything through again. */
  heal(): void;
  /** Each link and direction takes so many bytes a second; null: as many as there are. */
  throttle(bytesPerSecond: number | null): void;
}

type Line = { readonly silent: Set<ProxyDirection>; bytesPerSecond: number | null };

/** How often a second a throttled line moves, at most. */
const THROTTLE_STEPS = 50;

/** Listens on a free port and passes everything on to `target`. */
export async function startTcpProxy(target: ProxyTarget): Promise<TcpProxy> {
  const line: Line = { silent: new Set(), bytesPerSecond: null };
  const links = new Set<Link>();
  let current = target;
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
    const link = new Link(client, () => connect({ ...current, allowHalfOpen: true, noDelay: true }), line);
    links.add(link);
    link.closed.then(() => links.delete(link));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const wake = (): void => {
    for (const link of links) link.wake();
  };
  const { port } = server.address() as AddressInfo;
  return {
    port,
    get connections() {
      return links.size;
    },
    retarget: (next) => {
      current = next;
    },
    reset: () => {
      for (const link of links) link.reset();
    },
    blackhole: (direction) => {
      for (const each of direction === 'both' ? (['toServer', 'toClient'] as const) : [direction])
        line.silent.add(each);
    },
    heal: () => {
      line.silent.clear();
      wake();
    },
    throttle: (bytesPerSecond) => {
      line.bytesPerSecond = bytesPerSecond;
      wake();
    },
    [Symbol.asyncDispose]: async () => {
      const closed = once(server, 'close');
      server.close();
      for (const link of links) link.reset();
      await closed;
    },
  };
}

/** One connection of a client, and the one to the target that belongs to it. */
class Link {
  readonly #client: Socket;
  readonly #open: () => Socket;
  readonly #line: Line;
  #pumps: readonly Pump[] = [];
  readonly closed: Promise<void>;
  readonly #closed = Promise.withResolvers<void>();

  constructor(client: Socket, open: () => Socket, line: Line) {
    this.#client = client;
    this.#open = open;
    this.#line = line;
    this.closed = this.#closed.promise;
    client.on('error', () => undefined);
    client.once('close', () => {
      if (this.#pumps.length === 0) this.#closed.resolve();
    });
    this.wake();
  }

  /** Looks again at what may pass. */
  wake(): void {
    // One that was reset while it hung must not reach the target any more.
    const isWaiting = this.#pumps.length === 0 && !this.#client.destroyed;
    if (isWaiting && !this.#line.silent.has('toServer')) this.#connect();
    for (const pump of this.#pumps) pump.run();
  }

  reset(): void {
    for (const pump of this.#pumps) pump.reset();
    this.#client.resetAndDestroy();
  }

  #connect(): void {
    const upstream = this.#open();
    const ends = [this.#client, upstream].map((socket) => once(socket, 'close'));
    Promise.allSettled(ends).then(() => this.#closed.resolve());
    this.#pumps = [
      new Pump(this.#client, upstream, 'toServer', this.#line),
      new Pump(upstream, this.#client, 'toClient', this.#line),
    ];
  }
}

/** One direction of a link. What it does not read stays with the sender, so that the sender is held up as well. */
class Pump {
  readonly #from: Socket;
  readonly #to: Socket;
  readonly #direction: ProxyDirection;
  readonly #line: Line;
  #timer: NodeJS.Timeout | undefined;
  #isBroken = false;

  constructor(from: Socket, to: Socket, direction: ProxyDirection, line: Line) {
    this.#from = from;
    this.#to = to;
    this.#direction = direction;
    this.#line = line;
    from.on('readable', () => this.run());
    from.on('end', () => to.end());
    from.on('error', () => {
      this.#isBroken = true;
      this.run();
    });
    to.on('drain', () => this.run());
    this.run();
  }

  /** Passes on what there is, as far as the line lets it. */
  run(): void {
    if (this.#line.silent.has(this.#direction)) return;
    if (this.#isBroken) return void this.#to.resetAndDestroy();
    while (this.#timer === undefined && !this.#to.writableNeedDrain && !this.#to.destroyed) {
      const chunk = this.#from.read(this.#allowed()) as Buffer | null;
      if (chunk === null) return;
      this.#to.write(chunk);
      this.#rest(chunk.length);
    }
  }

  reset(): void {
    clearTimeout(this.#timer);
    this.#from.resetAndDestroy();
  }

  #allowed(): number | undefined {
    const { bytesPerSecond } = this.#line;
    if (bytesPerSecond === null || this.#from.readableLength === 0) return undefined;
    return Math.min(this.#from.readableLength, Math.max(1, Math.floor(bytesPerSecond / THROTTLE_STEPS)));
  }

  #rest(bytes: number): void {
    const { bytesPerSecond } = this.#line;
    if (bytesPerSecond === null) return;
    this.#timer = setTimeout(
      () => {
        this.#timer = undefined;
        this.run();
      },
      (bytes / bytesPerSecond) * 1_000,
    );
  }
}

// Owns receivers of webhooks that answer as real ones do on a bad day: at random 2xx, 3xx, 4xx, 5xx, slowly, never, or by
// cutting the connection. Each keeps a ledger of what came, and says at once what should not have come so.

import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { Webhook } from 'standardwebhooks';

export type Behaviour = 'ok' | 'redirect' | 'refuse' | 'busy' | 'fail' | 'slow' | 'never' | 'reset';

/** How often which, in hundredths. */
export type Mix = Readonly<Record<Behaviour, number>>;

export type LedgerEndpoint = {
  readonly path: string;
  readonly secret: string;
  /** One request at a time, in the order of messages. */
  readonly ordered: boolean;
  /** Gets the messages `first`, `first + step`, and so on. */
  readonly first: number;
  readonly step: number;
};

type Entry = {
  /** By the first attempt; every other must be the same. */
  readonly digest: string;
  readonly messages: readonly number[];
  readonly open: Set<ServerResponse>;
  acknowledged: boolean;
};

const SLOW_MS = 40;
const HANGING_UP_MS = 50;

/** What one endpoint received. Messages are known by the `n` of their payload, which begins at 0. */
export class EndpointLedger {
  readonly endpoint: LedgerEndpoint;
  readonly violations: string[] = [];
  /** By webhook-id. */
  readonly entries = new Map<string, Entry>();
  readonly acknowledged = new Set<number>();
  requests = 0;
  #highest = -1;
  readonly #webhook: Webhook;

  constructor(endpoint: LedgerEndpoint) {
    this.endpoint = endpoint;
    this.#webhook = new Webhook(endpoint.secret);
  }

  /** Requests beyond the first of each id. */
  get repeated(): number {
    return this.requests - this.entries.size;
  }

  arrived(body: Buffer, { headers }: IncomingMessage, response: ServerResponse): Entry {
    const id = String(headers['webhook-id']);
    this.requests++;
    const digest = createHash('sha256').update(body).digest('hex');
    const entry = this.entries.get(id) ?? {
      digest,
      messages: messagesIn(body),
      open: new Set<ServerResponse>(),
      acknowledged: false,
    };
    if (!this.entries.has(id)) this.entries.set(id, entry);
    if (entry.digest !== digest) this.#complain(`the bytes of ${id} changed between attempts`);
    this.#verify(body, headers);
    if (this.endpoint.ordered) this.#checkOrder(entry);
    this.#checkAlone(id, entry);
    entry.open.add(response);
    response.once('close', () => entry.open.delete(response));
    return entry;
  }

  acknowledge(entry: Entry): void {
    entry.acknowledged = true;
    for (const message of entry.messages) this.acknowledged.add(message);
    this.#highest = Math.max(this.#highest, ...entry.messages);
  }

  // That a sender has hung up is known a moment after it sends again.
  #checkAlone(id: string, { open }: Entry): void {
    const earlier = [...open];
    if (earlier.length === 0) return;
    setTimeout(() => {
      if (earlier.some((response) => open.has(response))) this.#complain(`${id} was sent twice at once`);
    }, HANGING_UP_MS);
  }

  // The next one, or the last one again: its sender may have died before it knew.
  #checkOrder({ messages, acknowledged }: Entry): void {
    const [first = -1] = messages;
    const { step } = this.endpoint;
    const isNext = first === (this.#highest < 0 ? this.endpoint.first : this.#highest + step);
    const isLast = acknowledged && messages.at(-1) === this.#highest;
    if (!isNext && !isLast) this.#complain(`message ${first} came when ${this.#highest} was the last acknowledged`);
    if (messages.some((message, index) => message !== first + index * step))
      this.#complain(`a batch at ${first} is torn`);
  }

  #verify(body: Buffer, headers: IncomingMessage['headers']): void {
    try {
      this.#webhook.verify(body.toString('utf8'), headers as Record<string, string>);
    } catch (error) {
      this.#complain(`a signature does not hold: ${String(error)}`);
    }
  }

  #complain(violation: string): void {
    this.violations.push(`${this.endpoint.path}: ${violation}`);
  }
}

function messagesIn(body: Buffer): number[] {
  const parsed = JSON.parse(body.toString('utf8'));
  const list: { readonly payload: { readonly n: number } }[] = Array.isArray(parsed) ? parsed : [parsed];
  return list.map(({ payload }) => payload.n);
}

export type ReceiverOptions = {
  readonly mix: Mix;
  readonly random: () => number;
};

export class WebhookReceiver implements AsyncDisposable {
  readonly ledgers = new Map<string, EndpointLedger>();
  readonly answers = new Map<Behaviour, number>();
  readonly #server = createServer((request, response) => void this.#answer(request, response).catch(() => undefined));
  readonly #options: ReceiverOptions;
  #isCalm = false;

  /** `endpointsAt` gives its endpoints for the port on which it listens. */
  static async open(
    options: ReceiverOptions,
    endpointsAt: (port: number) => Promise<readonly LedgerEndpoint[]>,
  ): Promise<WebhookReceiver> {
    const receiver = new WebhookReceiver(options);
    for (const endpoint of await endpointsAt(await receiver.#listen()))
      receiver.ledgers.set(endpoint.path, new EndpointLedger(endpoint));
    return receiver;
  }

  private constructor(options: ReceiverOptions) {
    this.#options = options;
  }

  /** From here on everything is answered with 200. */
  calm(): void {
    this.#isCalm = true;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #listen(): Promise<number> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    return (this.#server.address() as AddressInfo).port;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const ledger = this.ledgers.get(request.url ?? '');
    if (ledger === undefined) return void response.writeHead(500).end('this path was never given');
    const behaviour = this.#draw();
    this.answers.set(behaviour, (this.answers.get(behaviour) ?? 0) + 1);
    const body = await buffer(request); // rejects where the sender died in the middle
    const entry = ledger.arrived(body, request, response);
    const acknowledge = (): void => {
      if (response.destroyed) return;
      ledger.acknowledge(entry);
      response.end('thanks');
    };
    if (behaviour === 'ok') acknowledge();
    else if (behaviour === 'slow') setTimeout(acknowledge, SLOW_MS);
    else behave(behaviour, response);
  }

  #draw(): Behaviour {
    if (this.#isCalm) return 'ok';
    let left = this.#options.random() * 100;
    for (const [behaviour, share] of Object.entries(this.#options.mix) as [Behaviour, number][]) {
      left -= share;
      if (left < 0) return behaviour;
    }
    return 'ok';
  }
}

function behave(behaviour: Exclude<Behaviour, 'ok' | 'slow'>, response: ServerResponse): void {
  switch (behaviour) {
    case 'redirect':
      return void response.writeHead(302, { location: '/elsewhere' }).end();
    case 'refuse':
      return void response.writeHead(400).end('{"why":"no"}');
    case 'busy':
      return void response.writeHead(429, { 'retry-after': '0' }).end();
    case 'fail':
      return void response.writeHead(503).end();
    case 'reset':
      return void response.socket?.resetAndDestroy();
    case 'never':
      return;
  }
}

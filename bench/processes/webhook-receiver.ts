// The receivers of webhooks of a case, all in one process apart from the server's. What is sent to `/ok…` is answered at once
// and counted by the messages in it, with how long ago each was sent; `/dead` fails, `/slow` takes its time.

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { sharedNow } from '../clock.ts';
import { answerCalls } from './answer-calls.ts';

export type WebhooksReceived = {
  /** When the last one came, by the shared clock. */
  readonly doneAt: number;
  /** From sending to receiving, of each; empty where the payload does not say when it was sent. */
  readonly latenciesMs: Float64Array;
};

type Message = { readonly payload: { readonly sentAt?: number } };

const SLOW_MS = 2_000;

let left = 0;
let latencies: number[] = [];
let done = Promise.withResolvers<WebhooksReceived>();
const slow = new Set<NodeJS.Timeout>();

// What goes wrong in it ends the process, and the case.
const server = createServer((request, response) => void answer(request, response));

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const body = await text(request).catch(() => undefined);
  if (body === undefined) return; // its sender is gone
  if (request.url === '/dead') return void response.writeHead(500).end();
  if (request.url === '/slow') return answerLater(response);
  response.end('ok');
  const parsed = JSON.parse(body) as Message | Message[];
  for (const message of Array.isArray(parsed) ? parsed : [parsed]) count(message);
}

function answerLater(response: ServerResponse): void {
  const timer = setTimeout(() => {
    slow.delete(timer);
    response.end('ok');
  }, SLOW_MS);
  slow.add(timer);
}

function count({ payload: { sentAt } }: Message): void {
  if (left === 0) throw new Error('a webhook came that was not expected');
  if (sentAt !== undefined) latencies.push(sharedNow() - sentAt);
  if (--left === 0) done.resolve({ doneAt: sharedNow(), latenciesMs: Float64Array.from(latencies) });
}

answerCalls({
  listen: async () => {
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return (server.address() as AddressInfo).port;
  },
  expect: (messages: number) => {
    left = messages;
    latencies = [];
    done = Promise.withResolvers<WebhooksReceived>();
  },
  received: () => done.promise,
  stop: () => {
    for (const timer of slow) clearTimeout(timer);
    server.closeAllConnections();
    server.close();
  },
});

// Owns the server of a test's pages, on an origin of its own, and what their scripts print: `console` is led there.

import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

export type PageServer = AsyncDisposable & {
  readonly origin: string;
  /** The arguments of each call of `console.log` and the like, as JSON makes them; uncaught errors too. */
  readonly printed: unknown[][];
};

const CONSOLE = `
  const post = (...args) => void fetch('/printed', {method: 'POST', keepalive: true,
    body: JSON.stringify(args, (_, value) => value instanceof Event ? String(value.type) : value)});
  console.log = console.error = post;
  addEventListener('error', ({message}) => post('uncaught', message));`;

/** Serves one page that runs `script(origin)`. */
export async function servePage(script: (origin: string) => string): Promise<PageServer> {
  const printed: unknown[][] = [];
  let origin = '';
  const server = createServer((request, response) => {
    if (request.method !== 'POST') {
      response.setHeader('content-type', 'text/html; charset=utf-8');
      return response.end(`<!doctype html><script>${CONSOLE}</script><script>${script(origin)}</script>`);
    }
    let text = '';
    request.setEncoding('utf8').on('data', (part) => {
      text += part;
    });
    request.on('end', () => {
      printed.push(JSON.parse(text));
      response.end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    origin,
    printed,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

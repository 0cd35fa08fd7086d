// Owns REST requests of tests against a running app: as an admin unless told otherwise, JSON both ways.

import type { TestApp } from './test-app.ts';

export type RestAnswer = {
  readonly status: number;
  readonly headers: Headers;
  /** Parsed; fields are read one by one in tests. */
  // biome-ignore lint/suspicious/noExplicitAny: JSON of many shapes
  readonly body: any;
};

export type RestRequest = {
  readonly body?: unknown;
  /** Default: an admin's; null for none. */
  readonly token?: string | null | undefined;
};

/** Asks `path` below `/api/realtime`, or a whole path. */
export async function ask(
  app: TestApp,
  method: string,
  path: string,
  { body, token = app.adminToken() }: RestRequest = {},
): Promise<RestAnswer> {
  const whole = /^\/(api|docs|openapi|livez|readyz)/.test(path) ? path : `/api/realtime${path}`;
  const response = await fetch(`http://127.0.0.1:${app.app().port}${whole}`, {
    method,
    headers: {
      ...(token === null ? {} : { authorization: `Bearer ${token}` }),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  return { status: response.status, headers: response.headers, body: text === '' ? undefined : JSON.parse(text) };
}

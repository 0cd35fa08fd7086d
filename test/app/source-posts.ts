// Owns how tests make sources of incoming webhooks and post to them.

import { expect } from 'vitest';
import { ask, type RestAnswer } from './rest-client.ts';
import type { TestApp } from './test-app.ts';

export type MadeSource = {
  readonly id: string;
  readonly slug: string;
  readonly token: string;
  readonly channel: string;
  readonly [field: string]: unknown;
};

/** Makes a source over REST. */
export async function makeSource(app: TestApp, fields: object = {}): Promise<MadeSource> {
  const { status, body } = await ask(app, 'POST', '/sources', { body: { name: 'shop', ...fields } });
  expect(status).toBe(201);
  return body;
}

/** Posts `body` as it stands there, JSON by its content type unless told otherwise; an empty header is none. */
export async function post(
  app: TestApp,
  slug: string,
  body: string | Uint8Array<ArrayBuffer>,
  headers: Readonly<Record<string, string>> = {},
): Promise<RestAnswer> {
  const response = await fetch(`http://127.0.0.1:${app.app().port}/api/in/${slug}`, {
    method: 'POST',
    headers: Object.entries({ 'content-type': 'application/json', ...headers }).filter(([, value]) => value !== ''),
    body: Buffer.from(body),
  });
  return { status: response.status, headers: response.headers, body: await response.json() };
}

/** How many were counted for the source in the present month. */
export async function accepted(app: TestApp, { id }: MadeSource): Promise<number> {
  return (await ask(app, 'GET', `/sources/${id}/usage`)).body.accepted;
}

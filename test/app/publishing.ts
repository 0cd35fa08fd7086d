// Owns publishing in tests of the whole server, by a frame and by a request alike: payloads are given as JSON
// text, and arrive as it stands there.

import { until } from '../rig/until.ts';
import type { TestApp } from './test-app.ts';
import type { Frame, TestClient } from './test-client.ts';

export type Given = {
  readonly channel: string;
  readonly event?: string;
  /** JSON text. Default: 1. */
  readonly payload?: string;
  readonly id?: string;
};

/** What came back: a code of a refusal is that of error frames, or the `error` of REST. */
export type Answer = {
  readonly messageId?: string;
  readonly code?: string;
  readonly message?: string;
  /** Of REST. */
  readonly status?: number;
};

export type Response = { readonly status: number; readonly body: unknown; readonly headers: Headers };

/** A message as text. */
export function messageText({ channel, event = 'made', payload = '1', id }: Given): string {
  const rest = id === undefined ? '' : `,"id":${JSON.stringify(id)}`;
  return `{"channel":${JSON.stringify(channel)},"event":${JSON.stringify(event)},"payload":${payload}${rest}}`;
}

let lastRef = 0;

/** Publishes by a frame; returns the reply as it came. */
export async function publishFrame(client: TestClient, given: Given): Promise<Frame> {
  lastRef += 1;
  const ref = `p${lastRef}`;
  client.sendText(`{"type":"publish","ref":"${ref}",${messageText(given).slice(1)}`);
  return until(() => client.frames.find((frame) => frame.ref === ref), { what: `an answer for ${given.channel}` });
}

/** Publishes by a request with any body. */
export async function publishBody(
  app: TestApp,
  token: string | undefined,
  body: string | Buffer<ArrayBuffer>,
): Promise<Response> {
  const response = await fetch(`http://127.0.0.1:${app.app().port}/api/realtime/publish`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    },
    body,
  });
  return { status: response.status, body: await response.json(), headers: response.headers };
}

/** Publishes by either way as the bearer of `token`. */
export type Publish = (given: Given) => Promise<Answer>;

export async function bySocket(app: TestApp, token: string): Promise<Publish> {
  const client = await app.client(token);
  return async (given) => {
    const { messageId, code, message } = (await publishFrame(client, given)) as Frame & Answer;
    return messageId === undefined ? { code: String(code), message: String(message) } : { messageId };
  };
}

export async function byRest(app: TestApp, token: string): Promise<Publish> {
  return async (given) => {
    const { status, body } = await publishBody(app, token, messageText(given));
    const { messageId, error, message } = body as Readonly<Record<string, string>>;
    return messageId === undefined ? { code: String(error), message: String(message), status } : { messageId, status };
  };
}

export const WAYS = [
  ['a frame', bySocket],
  ['a request', byRest],
] as const;

// What is said of a request that cannot be taken: one shape, a stable code, and a sentence that names the fault.

import { afterAll, beforeAll, expect, it } from 'vitest';
import { type OpenGateway, openGateway, token } from './open-gateway.ts';

const admin = `Bearer ${token({ role: 'service_role', sub: 'admin' })}`;
const JSON_TYPE = 'application/json';

let server: OpenGateway;
beforeAll(async () => {
  server = await openGateway({ env: { ROWCAST_MAX_BODY: '1KiB' } });
});
afterAll(() => server[Symbol.asyncDispose]());

async function send(method: string, path: string, type?: string, body?: string): Promise<object> {
  const response = await fetch(`${server.http}/api/realtime${path}`, {
    method,
    headers: { authorization: admin, ...(type === undefined ? {} : { 'content-type': type }) },
    ...(body === undefined ? {} : { body }),
  });
  return { status: response.status, body: await response.json() };
}

const LONG = JSON.stringify({ pattern: 'a', ['x'.repeat(500)]: 1 });

it.each<[string, [string, string, string?, string?], number, string, RegExp]>([
  ['an unknown field', ['POST', '/channels', JSON_TYPE, '{"pattern":"a","patern":1}'], 400, 'bad_request', /"patern"/],
  ['a long unknown field', ['POST', '/channels', JSON_TYPE, LONG], 400, 'bad_request', /^.{1,200}$/],
  ['a missing field', ['POST', '/channels', JSON_TYPE, '{}'], 400, 'bad_request', /'pattern'/],
  [
    'a bad type',
    ['POST', '/channels', JSON_TYPE, '{"pattern":"a","enabled":1}'],
    400,
    'bad_request',
    /body.enabled .*boolean/,
  ],
  [
    'another value',
    ['POST', '/permissions/check', JSON_TYPE, '{"claims":{},"action":"x","channel":"a"}'],
    400,
    'bad_request',
    /"subscribe"/,
  ],
  [
    'an unknown parameter',
    ['GET', '/channels?limit=1'],
    400,
    'bad_request',
    /querystring has the unknown field "limit"/,
  ],
  ['no JSON', ['POST', '/channels', JSON_TYPE, '{'], 400, 'bad_request', /./],
  ['nothing', ['POST', '/channels', JSON_TYPE], 400, 'bad_request', /./],
  ['__proto__', ['POST', '/channels', JSON_TYPE, '{"pattern":"a","__proto__":{}}'], 400, 'bad_request', /./],
  ['a deep body', ['POST', '/channels', JSON_TYPE, `${'['.repeat(200)}${']'.repeat(200)}`], 400, 'bad_request', /./],
  ['another type', ['POST', '/channels', 'text/plain', '{}'], 415, 'unsupported_media_type', /./],
  ['too much', ['POST', '/channels', JSON_TYPE, `"${'x'.repeat(2_000)}"`], 413, 'payload_too_large', /./],
  ['a bad id', ['GET', '/channels/1'], 400, 'bad_request', /params.id/],
])('refuses %s', async (_, request, status, error, message) => {
  expect(await send(...request)).toEqual({
    status,
    body: { error, message: expect.stringMatching(message), statusCode: status },
  });
});

it('knows whoever asks before it reads what is asked', async () => {
  const response = await fetch(`${server.http}/api/realtime/channels`, {
    method: 'POST',
    headers: { 'content-type': 'text/plain' },
    body: 'x'.repeat(2_000),
  });
  expect([response.status, await response.json()]).toMatchObject([401, { error: 'auth_required' }]);
});

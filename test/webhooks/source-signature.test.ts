// A sender's signature by Standard Webhooks, held against a published example of it.

import { expect, it } from 'vitest';
import { findSignatureFault } from '../../server/webhooks/source-signature.ts';

const SECRET = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';
const AT_S = 1_614_265_330;
const EXAMPLE = {
  'webhook-id': 'msg_p5jXN8AQM9LWM0D4loKWxJek',
  'webhook-timestamp': String(AT_S),
  'webhook-signature': 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
};
const BODY = Buffer.from('{"test": 2432232314}');

const judge = (headers: object = {}, { body = BODY, lateS = 0 } = {}): string | undefined =>
  findSignatureFault(SECRET, { headers: { ...EXAMPLE, ...headers }, body, receivedAtMs: (AT_S + lateS) * 1000 });

it('the published example is good, for five minutes', () => {
  expect(judge()).toBeUndefined();
  for (const lateS of [-300, 300]) expect(judge({}, { lateS })).toBeUndefined();
  for (const lateS of [-301, 301]) expect(judge({}, { lateS })).toContain('five minutes');
});

it('one good signature among others is enough', () => {
  expect(judge({ 'webhook-signature': `v1a,zzz v1,AAAA ${EXAMPLE['webhook-signature']}` })).toBeUndefined();
});

it.each([
  ['another body', {}, { body: Buffer.from('{"test":2432232314}') }],
  ['another id', { 'webhook-id': 'msg_other' }, {}],
  ['another time', { 'webhook-timestamp': String(AT_S + 1) }, {}],
  ['another version', { 'webhook-signature': EXAMPLE['webhook-signature'].replace('v1,', 'v2,') }, {}],
  ['no signature', { 'webhook-signature': undefined }, {}],
  ['an empty signature', { 'webhook-signature': 'v1,' }, {}],
  ['no time', { 'webhook-timestamp': 'now' }, {}],
])('%s is not', (_, headers, more) => {
  expect(judge(headers, more)).toBeTypeOf('string');
});

// A receiver of webhooks, in plain Node: checks the signature over the bytes as they came, does nothing twice for the same id,
// and answers at once. Run it with the secret that was shown when the webhook was made:
//   SECRET=whsec_… node examples/webhook-receiver.mjs
//   npm run listen -- order:42 --to http://localhost:3000/hook --secret $SECRET

import { createHmac, timingSafeEqual } from 'node:crypto';
import { createServer } from 'node:http';
import { buffer } from 'node:stream/consumers';

const { SECRET = '', PORT = '3000' } = process.env;
const key = Buffer.from(SECRET.replace(/^whsec_/, ''), 'base64');
const TOLERANCE_S = 300;

/** In production: a table with a unique id, written in the transaction that does the work. */
const done = new Set();

const server = createServer(async (request, response) => {
  const body = await buffer(request);
  if (!isGenuine(request.headers, body)) return response.writeHead(401).end();
  const id = request.headers['webhook-id'];
  if (!done.has(id)) {
    done.add(id);
    // Single requests bring one message, batches a list.
    for (const message of [JSON.parse(body.toString('utf8'))].flat())
      console.log(id, message.event, JSON.stringify(message));
  }
  response.writeHead(204).end();
});

function isGenuine({ 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': signatures = '' }, body) {
  if (!(Math.abs(Date.now() / 1000 - Number(timestamp)) <= TOLERANCE_S)) return false;
  const expected = createHmac('sha256', key).update(`${id}.${timestamp}.`).update(body).digest();
  // Two of them while the secret is rotated.
  return signatures.split(' ').some((signature) => {
    const given = Buffer.from(signature.replace(/^v1,/, ''), 'base64');
    return given.length === expected.length && timingSafeEqual(given, expected);
  });
}

server.listen(Number(PORT), () => console.log(`listening on http://localhost:${server.address().port}/hook`));

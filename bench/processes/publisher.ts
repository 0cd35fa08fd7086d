// The publishers of a case, all in one process apart from the server's: over sockets, over REST, in SQL, and as a
// server of the usual kind would write its own table. Each waits for its confirmation before it goes on.

import { Agent, request } from 'node:http';
import { Client } from 'pg';
import { answerCalls } from './answer-calls.ts';
import type { Published, PublishOrder } from './publish-order.ts';

type Publisher = { publish(n: number): Promise<void>; close(): unknown };
type Open = (order: PublishOrder) => Promise<Publisher>;

const EVENT = 'bench.event';
const payloadOf = (n: number): object => ({
  n,
  text: 'lorem ipsum '.repeat(12),
  isOpen: n % 2 === 0,
  tags: ['a', 'b'],
});

const openSocket: Open = async ({ port, token, channel }) => {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/realtime?token=${token}`);
  let confirmed = Promise.withResolvers<void>();
  const welcome = Promise.withResolvers<void>();
  socket.addEventListener('close', ({ code }) => confirmed.reject(new Error(`the server closed: ${code}`)));
  socket.addEventListener('message', ({ data }) => {
    const { type, message } = JSON.parse(String(data));
    if (type === 'auth_success') welcome.resolve();
    else if (type === 'published') confirmed.resolve();
    else if (type === 'error') confirmed.reject(new Error(`the server refuses: ${message}`));
  });
  await welcome.promise;
  return {
    publish: (n) => {
      confirmed = Promise.withResolvers<void>();
      socket.send(JSON.stringify({ type: 'publish', channel, event: EVENT, payload: payloadOf(n) }));
      return confirmed.promise;
    },
    close: () => {
      confirmed.promise.catch(() => undefined);
      socket.close();
    },
  };
};

const openRest: Open = async ({ port, token, channel }) => {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
  const options = { host: '127.0.0.1', port, path: '/api/realtime/publish', method: 'POST', agent, headers };
  return {
    publish: (n) => post(options, JSON.stringify({ channel, event: EVENT, payload: payloadOf(n) })),
    close: () => agent.destroy(),
  };
};

function post(options: object, body: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const sent = request(options, (response) => {
      response.resume();
      response.once('end', () =>
        response.statusCode === 200 ? resolve() : reject(new Error(`the server refuses: ${response.statusCode}`)),
      );
    });
    sent.once('error', reject);
    sent.end(body);
  });
}

/** `text` takes channel, event and payload. */
const openSql =
  (text: string): Open =>
  async ({ databaseUrl, channel }) => {
    const client = new Client({ connectionString: databaseUrl, application_name: 'bench publisher' });
    await client.connect();
    return {
      publish: async (n) => {
        await client.query({ name: 'publish', text, values: [channel, EVENT, JSON.stringify(payloadOf(n))] });
      },
      close: () => client.end(),
    };
  };

async function publishAll(open: Open, order: PublishOrder): Promise<Published> {
  const publishers = await Promise.all(Array.from({ length: order.publishers }, () => open(order)));
  const latencies: number[] = [];
  const startedAt = performance.now();
  await Promise.all(
    publishers.map(async (publisher, which) => {
      for (let n = 0; n < order.messagesEach; n++) {
        const sentAt = performance.now();
        await publisher.publish(which * order.messagesEach + n + 1);
        latencies.push(performance.now() - sentAt);
      }
    }),
  );
  const elapsedMs = performance.now() - startedAt;
  await Promise.all(publishers.map((publisher) => publisher.close()));
  return { elapsedMs, latenciesMs: Float64Array.from(latencies) };
}

const INSERT_PLAIN = 'insert into bench_messages (channel, event, payload) values ($1, $2, $3)';

answerCalls({
  socket: (order: PublishOrder) => publishAll(openSocket, order),
  rest: (order: PublishOrder) => publishAll(openRest, order),
  sql: (order: PublishOrder) => publishAll(openSql('select realtime.publish($1, $2, $3::jsonb)'), order),
  plain: (order: PublishOrder) => publishAll(openSql(INSERT_PLAIN), order),
});

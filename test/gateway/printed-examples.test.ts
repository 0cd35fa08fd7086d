// Owns the proof that the frames printed in the API reference work as printed, over a real socket.

import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { textFrame } from '../../server/protocol/websocket-frame.ts';
import { type OpenGateway, openGateway, token, USER } from './open-gateway.ts';

const connection = fixture('websocket-connection.json');
const changes = fixture('database-change-notifications.json');

it('answers the printed auth with the printed success', async () => {
  await using server = await openGateway();
  const socket = await server.connect();
  const answer = await socket.ask({ ...connection.auth.request, token: token() });
  expect(connection.auth.success.userId).toBe(USER);
  expect(answer).toMatchObject(connection.auth.success);
});

it('answers the printed auth, sent letter by letter, with the printed error', async () => {
  await using server = await openGateway();
  const socket = await server.connect();
  expect(await socket.ask(connection.auth.request)).toMatchObject(connection.auth.error);
});

it('answers the printed subscribe and unsubscribe with the printed frames', async () => {
  await using server = await openGateway();
  const socket = await server.login();
  const subscribed = await socket.ask(connection.subscribe.request);
  expect(subscribed).toMatchObject({ ...connection.subscribe.success, subscriptionId: expect.any(String) });
  expect(await socket.ask(connection.unsubscribe.request)).toMatchObject(connection.unsubscribe.success);
});

it('answers a subscribe to a channel that may not be seen with the printed error', async () => {
  await using server = await openGateway();
  const socket = await server.login();
  const answer = await socket.ask({ ...connection.subscribe.request, channel: 'secret:1' });
  expect(answer).toMatchObject(connection.subscribe.error);
});

it('answers the printed publish with the printed frame, field by field', async () => {
  await using server = await openGateway();
  const socket = await server.login();
  const answer = await socket.ask(connection.publish.request);
  expect(answer).toEqual({ ...connection.publish.success, messageId: expect.stringMatching(/^[0-9a-f-]{36}$/) });
  expect(Object.keys(answer)).toEqual(Object.keys(connection.publish.success));
});

it('brings printed messages unchanged', async () => {
  await using server = await openGateway();
  const socket = await server.login();
  await socket.ask(connection.subscribe.request);
  await socket.ask(changes.subscribe);
  publish(server, 'order:123', connection.message);
  for (const name of ['insert', 'update', 'delete']) publish(server, 'db:posts', changes[name]);
  expect(await socket.next()).toEqual(connection.message);
  for (const name of ['insert', 'update', 'delete']) expect(await socket.next()).toEqual(changes[name]);
});

it.each(changes.filterEvents as string[])('takes the printed filter event %s', async (event) => {
  await using server = await openGateway();
  const socket = await server.login();
  const filter = { ...changes.subscribe.filter, event };
  const answer = await socket.ask({ ...changes.subscribe, filter });
  expect(answer).toMatchObject({ type: 'subscribed', channel: 'db:posts' });
  const [group] = server.hub.groups('db:posts');
  expect(group?.spec.events).toEqual(event === '*' ? null : new Set([event]));
});

function publish(server: OpenGateway, channel: string, message: unknown): void {
  for (const group of server.hub.groups(channel)) server.hub.deliver(group, textFrame(JSON.stringify(message)));
  server.hub.flush();
}

// The fixtures are data of the reference page, read field by field in each test.
// biome-ignore lint/suspicious/noExplicitAny: JSON of a known file
function fixture(name: string): any {
  return JSON.parse(readFileSync(new URL(`../fixtures/${name}`, import.meta.url), 'utf8'));
}

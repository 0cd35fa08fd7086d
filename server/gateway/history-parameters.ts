// Owns how the parameters of history are read, behind what their schema has checked: times, positions and channel names.

import type { Static } from 'typebox';
import { type HistoryBound, parseBound } from '../messages/history-bound.ts';
import type { HistoryQuery, StatsQuery } from '../messages/history-query.ts';
import { type CanonicalChannel, parseChannelName } from '../protocol/channel-name.ts';
import type { HistoryQuerySchema } from './history-schemas.ts';
import type { HttpRefusal } from './http-refusal.ts';

type Read<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly refusal: HttpRefusal };

const TIME = 'a time like 2024-01-15T10:30:00Z (ISO 8601 with its zone; in a URL %2B for +)';
const BOUND = `${TIME}, or a position`;
const DEFAULT_LIMIT = 100;

export function readHistoryQuery(given: Static<typeof HistoryQuerySchema>): Read<HistoryQuery> {
  const since = readBound('since', given.since);
  if (!since.ok) return since;
  const until = readBound('until', given.until);
  if (!until.ok) return until;
  const channel = readChannel(given.channel);
  if (!channel.ok) return channel;
  const { channelId, eventName, senderId, order = 'desc', limit = DEFAULT_LIMIT, offset = 0 } = given;
  const filter = { channelId, eventName, senderId, channel: channel.value, since: since.value, until: until.value };
  return { ok: true, value: { ...filter, order, limit, offset } };
}

export function readStatsQuery({ channelId, ...given }: StatsQuery): Read<StatsQuery> {
  const since = readTime('since', given.since);
  if (!since.ok) return since;
  const until = readTime('until', given.until);
  return until.ok ? { ok: true, value: { channelId, since: since.value, until: until.value } } : until;
}

export function readRemovalBound(text: string): Read<HistoryBound> {
  const bound = parseBound(text);
  return bound === undefined ? badRequest('bad_request', `before has to be ${BOUND}`) : { ok: true, value: bound };
}

function readBound(name: string, text: string | undefined): Read<HistoryBound | undefined> {
  if (text === undefined) return { ok: true, value: undefined };
  const bound = parseBound(text);
  return bound === undefined ? badRequest('bad_request', `${name} has to be ${BOUND}`) : { ok: true, value: bound };
}

function readTime(name: string, text: string | undefined): Read<string | undefined> {
  if (text === undefined) return { ok: true, value: undefined };
  const bound = parseBound(text);
  return bound?.kind === 'time'
    ? { ok: true, value: bound.at }
    : badRequest('bad_request', `${name} has to be ${TIME}`);
}

function readChannel(text: string | undefined): Read<CanonicalChannel | undefined> {
  if (text === undefined) return { ok: true, value: undefined };
  const parsed = parseChannelName(text);
  if (parsed.ok) return { ok: true, value: parsed.channel.canonical };
  const { code, message } = parsed.refusal;
  return badRequest(
    code,
    code === 'wildcard_not_supported' ? 'channel has to be a concrete name, no pattern' : message,
  );
}

function badRequest(error: string, message: string): { readonly ok: false; readonly refusal: HttpRefusal } {
  return { ok: false, refusal: { statusCode: 400, error, message } };
}

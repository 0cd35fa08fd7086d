// Owns how the parameters of history are read, behind what their schema has checked: times, positions and channel names.

import type { Static } from 'typebox';
import { type HistoryBound, parseBound } from '../messages/history-bound.ts';
import type { HistoryQuery, StatsQuery } from '../messages/history-query.ts';
import { type CanonicalChannel, parseChannelName } from '../protocol/channel-name.ts';
import type { HistoryQuerySchema } from './history-schemas.ts';
import { badParameter, type Read, readTimes, TIME } from './time-parameters.ts';

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
  const times = readTimes(given);
  return times.ok ? { ok: true, value: { channelId, ...times.value } } : times;
}

export function readRemovalBound(text: string): Read<HistoryBound> {
  const bound = parseBound(text);
  return bound === undefined ? badParameter('bad_request', `before has to be ${BOUND}`) : { ok: true, value: bound };
}

function readBound(name: string, text: string | undefined): Read<HistoryBound | undefined> {
  if (text === undefined) return { ok: true, value: undefined };
  const bound = parseBound(text);
  return bound === undefined ? badParameter('bad_request', `${name} has to be ${BOUND}`) : { ok: true, value: bound };
}

function readChannel(text: string | undefined): Read<CanonicalChannel | undefined> {
  if (text === undefined) return { ok: true, value: undefined };
  const parsed = parseChannelName(text);
  if (parsed.ok) return { ok: true, value: parsed.channel.canonical };
  const { code, message } = parsed.refusal;
  return badParameter(
    code,
    code === 'wildcard_not_supported' ? 'channel has to be a concrete name, no pattern' : message,
  );
}

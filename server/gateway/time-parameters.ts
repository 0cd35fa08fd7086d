// Owns how `since` and `until` are read where they are times, and what a parameter that is wrong is answered with.

import { parseTime } from '../messages/history-bound.ts';
import type { HttpRefusal } from './http-refusal.ts';

export type Read<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly refusal: HttpRefusal };

export type Times = { readonly since?: string | undefined; readonly until?: string | undefined };

/** How a time is asked for. */
export const TIME = 'a time like 2024-01-15T10:30:00Z (ISO 8601 with its zone; in a URL %2B for +)';

/** Both in UTC. */
export function readTimes({ since, until }: Times): Read<Times> {
  const from = readTime('since', since);
  if (!from.ok) return from;
  const to = readTime('until', until);
  return to.ok ? { ok: true, value: { since: from.value, until: to.value } } : to;
}

/** Refuses a parameter with 400. */
export function badParameter(error: string, message: string): { readonly ok: false; readonly refusal: HttpRefusal } {
  return { ok: false, refusal: { statusCode: 400, error, message } };
}

function readTime(name: string, text: string | undefined): Read<string | undefined> {
  const at = text === undefined ? undefined : parseTime(text);
  if (text !== undefined && at === undefined) return badParameter('bad_request', `${name} has to be ${TIME}`);
  return { ok: true, value: at };
}

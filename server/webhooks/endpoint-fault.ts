// Owns what can be said against an endpoint before the database is asked: where its URL leads, what its pattern
// means, and whether there is such a role.

import { type CanonicalChannel, parseChannelName } from '../protocol/channel-name.ts';
import { type EndpointFields, refused, type WebhookResult } from './endpoint.ts';

export type EndpointRules = {
  /** What is wrong with a URL, as the address guard judges its text; undefined if nothing is. */
  readonly findUrlFault: (url: string) => string | undefined;
  /** ROWCAST_ROLES: those as which rows can be judged. */
  readonly roles: readonly string[];
};

const MAX_PATTERN_LENGTH = 200;

/** The fields with the pattern in its canonical spelling, or why they are refused. */
export function checkedFields<Fields extends EndpointFields>(
  fields: Fields,
  { findUrlFault, roles }: EndpointRules,
): WebhookResult<Fields> {
  const { url, pattern, role } = fields;
  const fault = url === undefined ? undefined : findUrlFault(url);
  if (fault !== undefined) return refused('bad_request', `url ${fault}`);
  if (typeof role === 'string' && !roles.includes(role))
    return refused('unknown_role', `role has to be one of ${roles.join(', ')} (ROWCAST_ROLES), or null for everything`);
  if (pattern === undefined) return { ok: true, value: fields };
  const canonical = canonicalPattern(pattern);
  return canonical.ok ? { ok: true, value: { ...fields, pattern: canonical.value } } : canonical;
}

// Messages carry the canonical name: `db:public.posts` would match none.
function canonicalPattern(pattern: string): WebhookResult<CanonicalChannel | string> {
  const parsed = parseChannelName(pattern);
  if (parsed.ok) return { ok: true, value: parsed.channel.canonical };
  const { code, message } = parsed.refusal;
  if (code === 'wildcard_not_supported' && [...pattern].length <= MAX_PATTERN_LENGTH)
    return { ok: true, value: pattern };
  return refused('bad_name', message);
}

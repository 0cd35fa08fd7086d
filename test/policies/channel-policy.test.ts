import { describe, expect, it } from 'vitest';
import { makeIdentity } from '../../server/auth/make-identity.ts';
import { type ChannelFacts, ChannelPolicy, type WatchedFacts } from '../../server/policies/channel-policy.ts';
import { parseChannelName } from '../../server/protocol/channel-name.ts';

const admin = makeIdentity({ role: 'service_role', isAdmin: true, claims: {} });
const user = makeIdentity({ role: 'authenticated', isAdmin: false, claims: { sub: 'u' } });
const watched: WatchedFacts = { oid: 1, isComplete: true, identityGap: null };

type Given = Partial<{
  deciding: { pattern: string; isEnabled: boolean } | undefined;
  watched: WatchedFacts | undefined;
  completes: boolean;
  roles: readonly string[];
  isReady: boolean;
}>;

async function decide(identity: typeof admin, name: string, given: Given = {}) {
  const all = {
    deciding: { pattern: name, isEnabled: true },
    watched,
    completes: true,
    roles: [],
    isReady: true,
    ...given,
  };
  const facts: ChannelFacts = {
    deciding: async () => all.deciding,
    watched: async () => all.watched,
    waitUntilComplete: async () => all.completes,
  };
  const grants = { read: async () => ({ roles: all.roles, xmax: 1n, inProgress: new Set<bigint>() }) };
  const policy = new ChannelPolicy({ facts, grants, isReady: () => all.isReady });
  const parsed = parseChannelName(name);
  if (!parsed.ok) throw new Error(parsed.refusal.message);
  return policy.decide(identity, parsed.channel);
}

const REFUSED = {
  allowed: false,
  refusal: { code: 'channel_unavailable', message: 'Channel not found or not accessible' },
};

describe('the decision to subscribe', () => {
  it('allows a watched table to admins, and to roles that see it whole', async () => {
    expect(await decide(admin, 'db:posts')).toEqual({ allowed: true, warnings: [] });
    expect(await decide(user, 'db:posts', { roles: ['authenticated'] })).toEqual({ allowed: true, warnings: [] });
  });

  it.each<[string, string, Given]>([
    ['the table is not watched', 'db:posts', { deciding: undefined, watched: undefined }],
    ['the table is gone', 'db:posts', { watched: undefined, roles: ['authenticated'] }],
    ['the role may not read the table', 'db:posts', { roles: ['anon'] }],
    [
      'the channel is disabled',
      'db:posts',
      { deciding: { pattern: 'db:posts', isEnabled: false }, roles: ['authenticated'] },
    ],
    ['no pattern matches', 'order:42', { deciding: undefined }],
    ['there is no policy for messages', 'order:42', {}],
  ])('refuses a user in the same words where %s', async (_, name, given) => {
    expect(await decide(user, name, given)).toEqual(REFUSED);
  });

  it.each<[string, string, Given, RegExp]>([
    ['db:posts', 'watching it', { deciding: undefined }, /select realtime\.watch\('posts'\)/],
    ['db:posts', 'watching it again', { watched: undefined }, /select realtime\.watch\('posts'\)/],
    [`db:"it's"`, 'quotes', { deciding: undefined }, /select realtime\.watch\('"it''s"'\)/],
    ['order:42', 'a channel row', { deciding: undefined }, /no row of realtime\.channels/],
    ['order:42', 'the disabled row', { deciding: { pattern: 'order:*', isEnabled: false } }, /order:\* is disabled/],
  ])('tells an admin of %s about %s', async (name, _, given, detail) => {
    expect(await decide(admin, name, given)).toMatchObject({
      refusal: { ...REFUSED.refusal, detail: expect.stringMatching(detail) },
    });
  });

  it('does not tell a user without rights whether the table is complete or the reason why not', async () => {
    const incomplete = { watched: { ...watched, isComplete: false, identityGap: 'x' }, completes: false };
    expect(await decide(user, 'db:posts', incomplete)).toEqual(REFUSED);
    expect(await decide(user, 'db:posts', { ...incomplete, roles: ['authenticated'] })).toMatchObject({
      refusal: { code: 'unavailable' },
    });
  });

  it('waits for a table to be complete', async () => {
    const incomplete = { watched: { ...watched, isComplete: false } };
    expect(await decide(admin, 'db:posts', { ...incomplete, completes: true })).toMatchObject({ allowed: true });
    expect(await decide(admin, 'db:posts', { ...incomplete, completes: false })).toMatchObject({
      refusal: { code: 'unavailable' },
    });
  });

  it('warns of a table without identity', async () => {
    const given = { watched: { ...watched, identityGap: 'posts has no primary key' } };
    expect(await decide(admin, 'db:posts', given)).toEqual({
      allowed: true,
      warnings: [{ code: 'inserts_only', message: 'Only INSERT and TRUNCATE are delivered: posts has no primary key' }],
    });
  });

  it('is unavailable before there was a stream', async () => {
    expect(await decide(admin, 'db:posts', { isReady: false })).toMatchObject({ refusal: { code: 'unavailable' } });
  });
});

// What follows from facts and verdict: the decision, what it says to whom, and its warnings.

import { describe, expect, it } from 'vitest';
import { type ChannelFacts, channelDecision, type Evidence } from '../../server/policies/channel-decision.ts';
import type { ChannelVerdict } from '../../server/policies/channel-judge.ts';
import { makeTableFilter } from '../../server/policies/row-filter.ts';
import type { SubscribeDecision } from '../../server/policies/subscribe-decision.ts';
import { mayFilterBy } from '../../server/policies/table-filter.ts';
import type { RoleRules } from '../../server/policies/table-rules.ts';
import { identityOf, parsed, policyRule, rulesOf, WATCHED } from './channel-cases.ts';

const admin = identityOf('service_role');
const user = identityOf('authenticated');
const YES: ChannelVerdict = { seesChannel: true, readsTable: true, failure: null };
const row = { id: '1', pattern: 'the:row', isEnabled: true };

type Given = { facts?: Partial<ChannelFacts>; verdict?: Evidence['verdict']; rules?: Evidence['rules'] | null };

function decide(identity: typeof admin, name: string, given: Given = {}): SubscribeDecision {
  const channel = parsed(name);
  const table = channel.kind === 'table' ? WATCHED : null;
  const facts = { deciding: row, table, ...given.facts };
  const verdict = given.verdict === undefined ? (identity.isAdmin ? null : YES) : given.verdict;
  const rules = given.rules === undefined ? rulesOf() : (given.rules ?? undefined);
  return channelDecision(
    { identity, channel },
    { facts, verdict, rules: channel.kind === 'table' ? rules : undefined },
  );
}

const REFUSED = { code: 'channel_unavailable', message: 'Channel not found or not accessible' };
const DISABLED = { ...row, isEnabled: false };
const UNWATCHED = { ...WATCHED, isWatched: false };

describe('a decision about a channel', () => {
  it.each(['order:1', 'db:posts'])('allows %s to whom the policies let, and to admins', (name) => {
    expect(decide(user, name)).toMatchObject({ allowed: true, warnings: [] });
    expect(decide(admin, name)).toMatchObject({ allowed: true, warnings: [] });
  });

  it.each<[string, string, string, Given]>([
    ['no row matches', 'order:1', 'channel_deleted', { facts: { deciding: null } }],
    ['the row is disabled', 'order:1', 'channel_disabled', { facts: { deciding: DISABLED } }],
    ['no policy lets', 'order:1', 'not_allowed', { verdict: { ...YES, seesChannel: false } }],
    ['the table is not watched', 'db:posts', 'table_unwatched', { facts: { table: UNWATCHED } }],
    ['there is no such table', 'db:posts', 'table_unwatched', { facts: { deciding: null, table: null } }],
    ['the row of the table is gone', 'db:posts', 'channel_deleted', { facts: { deciding: null } }],
    ['the row of the table is disabled', 'db:posts', 'channel_disabled', { facts: { deciding: DISABLED } }],
    ['no column may be read', 'db:posts', 'not_allowed', { verdict: { ...YES, readsTable: false } }],
    ['the row of the table is hidden', 'db:posts', 'not_allowed', { verdict: { ...YES, seesChannel: false } }],
    ['the table is gone by now', 'db:posts', 'table_unwatched', { rules: null }],
    ['the table was gone when judged', 'db:posts', 'table_unwatched', { verdict: { ...YES, readsTable: null } }],
  ])('refuses a user in the same words where %s', (_, name, endReason, given) => {
    expect(decide(user, name, given)).toEqual({ allowed: false, refusal: REFUSED, endReason });
  });

  it('is no refusal where the policies did not answer, and never an allowance', () => {
    expect(decide(user, 'order:1', { verdict: 'undecided' })).toMatchObject({
      allowed: false,
      refusal: { code: 'unavailable' },
    });
  });

  it.each<[string, string, Given, RegExp]>([
    ['db:posts', 'watching it', { facts: { deciding: null, table: null } }, /select realtime\.watch\('posts'\)/],
    ['db:posts', 'watching it again', { facts: { table: UNWATCHED } }, /select realtime\.watch\('posts'\)/],
    [`db:"it's"`, 'quotes', { facts: { deciding: null, table: null } }, /select realtime\.watch\('"it''s"'\)/],
    ['order:42', 'a channel row', { facts: { deciding: null } }, /no row of realtime\.channels/],
    ['order:42', 'the disabled row', { facts: { deciding: DISABLED } }, /the:row is disabled/],
  ])('tells an admin of %s about %s', (name, _, given, detail) => {
    expect(decide(admin, name, given)).toMatchObject({
      refusal: { ...REFUSED, detail: expect.stringMatching(detail) },
    });
  });
});

describe('a subscription to a table is warned', () => {
  const warned = (decision: SubscribeDecision): string[] =>
    decision.allowed ? decision.warnings.map(({ code }) => code) : ['refused'];
  const bound = (...permissive: boolean[]): Partial<RoleRules> => ({
    isBound: true,
    policies: permissive.map(policyRule),
  });

  it('of inserts only, without naming what the user may not know', () => {
    const facts = { table: { ...WATCHED, identityGap: 'posts_2024 has no primary key', isFull: false } };
    expect(warned(decide(user, 'db:posts', { facts, rules: rulesOf(bound(true)) }))).toEqual(['inserts_only']);
    expect(JSON.stringify(decide(user, 'db:posts', { facts }))).not.toContain('posts_2024');
    expect(decide(admin, 'db:posts', { facts })).toMatchObject({
      warnings: [{ message: 'Only INSERT and TRUNCATE are delivered: posts_2024 has no primary key' }],
    });
  });

  it.each([
    ['there is no policy', bound(), ['no_policy']],
    ['there are only restrictive policies', bound(false), ['no_policy']],
    ['there is one', bound(false, true), []],
    ['row security does not bind the role', { isBound: false }, []],
  ])('that nothing will come where row security is on and %s', (_, role, codes) => {
    expect(warned(decide(user, 'db:posts', { rules: rulesOf(role) }))).toEqual(codes);
    expect(warned(decide(admin, 'db:posts', { rules: rulesOf(role) }))).toEqual([]);
  });

  it('that moves in and out of view are not told, where policies or a where decide on the key alone', () => {
    const facts = { table: { ...WATCHED, isFull: false } };
    expect(warned(decide(user, 'db:posts', { facts, rules: rulesOf(bound(true)) }))).toEqual(['identity_not_full']);
    expect(decide(user, 'db:posts', { facts })).toMatchObject({
      warnings: [],
      whereWarnings: [{ code: 'identity_not_full' }],
    });
    expect(decide(user, 'db:posts')).toMatchObject({ warnings: [], whereWarnings: [] });
  });
});

describe('a filter that is live', () => {
  const filter = makeTableFilter({ kind: 'is', column: 'hidden', what: 'null' }, null);
  it('may go on only while the columns of its where may be read', () => {
    expect(mayFilterBy(user, rulesOf(), filter)).toBe(true);
    expect(mayFilterBy(user, rulesOf({ columns: new Set(['id']) }), filter)).toBe(false);
    expect(mayFilterBy(identityOf('anon'), rulesOf(), filter)).toBe(false);
    expect(mayFilterBy(admin, rulesOf(), filter)).toBe(true);
    expect(mayFilterBy(user, rulesOf({ columns: new Set(['id']) }), makeTableFilter(null, ['hidden']))).toBe(true);
  });

  it('ends when the column itself is gone', () => {
    const gone = makeTableFilter({ kind: 'is', column: 'dropped', what: 'null' }, null);
    expect(mayFilterBy(admin, rulesOf(), gone)).toBe(false);
  });
});

// Owns the bounds of authentication: failures of an address, and tickets.

import { describe, expect, it } from 'vitest';
import { AddressLimit } from '../../server/auth/address-limit.ts';
import { createAuthenticator } from '../../server/auth/authenticator.ts';
import type { Identity } from '../../server/auth/identity.ts';
import { makeIdentity } from '../../server/auth/make-identity.ts';
import { TicketBox } from '../../server/auth/ticket-box.ts';
import type { TokenVerdict } from '../../server/auth/verify-token.ts';

const silent = { debug() {}, info() {}, warn() {}, error() {} };

describe('AddressLimit', () => {
  it('blocks an address until its window ends, and no other', () => {
    let now = 0;
    const limit = new AddressLimit({ perWindow: 2, windowMs: 100, now: () => now });
    limit.note('a');
    now = 60;
    expect(limit.blockedMs('a')).toBe(0);
    limit.note('a');
    expect([limit.blockedMs('a'), limit.blockedMs('b')]).toEqual([40, 0]);
    now = 100;
    expect(limit.blockedMs('a')).toBe(0);
  });

  it('remembers so many addresses and no more', () => {
    const limit = new AddressLimit({ perWindow: 1, windowMs: 100, maxAddresses: 2, now: () => 0 });
    for (const address of ['a', 'b', 'c']) limit.note(address);
    expect(['a', 'b', 'c'].map((address) => limit.blockedMs(address) > 0)).toEqual([false, true, true]);
  });
});

describe('the authenticator', () => {
  it.each<[string, TokenVerdict, object, number]>([
    ['a bad token', { ok: false, reason: 'signature' }, { ok: false, code: 'bad_token' }, 1],
    ['an expired token', { ok: false, reason: 'expired' }, { ok: false, code: 'token_expired' }, 1],
    ['keys that are not there', { ok: false, reason: 'keys_unavailable' }, { ok: false, code: 'unavailable' }, 0],
  ])('says what a client may know of %s, and counts what is its fault', async (_what, verdict, said, counted) => {
    const failedTokens = new AddressLimit({ perWindow: 1, windowMs: 1_000, now: () => 0 });
    const verifier = { verify: async () => verdict };
    const authenticator = createAuthenticator({ verifier, failedTokens, log: silent });
    expect(await authenticator.authenticate('x', 'a')).toEqual(said);
    expect(failedTokens.blockedMs('a') > 0).toBe(counted === 1);
  });

  it('looks at no token of an address that failed too often', async () => {
    let looks = 0;
    const verifier = {
      verify: async (): Promise<TokenVerdict> => {
        looks += 1;
        return { ok: false, reason: 'signature' };
      },
    };
    const failedTokens = new AddressLimit({ perWindow: 2, windowMs: 1_000, now: () => 0 });
    const reasons: string[] = [];
    const authenticator = createAuthenticator({
      verifier,
      failedTokens,
      log: silent,
      onRefusal: (reason) => reasons.push(reason),
    });
    for (let n = 0; n < 2; n++) await authenticator.authenticate('x', 'a');
    expect(await authenticator.authenticate('x', 'a')).toEqual({
      ok: false,
      code: 'rate_limited',
      retryAfterMs: 1_000,
    });
    expect(looks).toBe(2);
    expect(reasons).toEqual(['signature', 'signature', 'rate_limited']);
    await authenticator.authenticate('x', 'b');
    expect(looks).toBe(3);
  });
});

describe('TicketBox', () => {
  const identity = (sub: string, exp = 1_000): Identity =>
    makeIdentity({ role: 'authenticated', isAdmin: false, claims: { sub, exp } });

  it('gives an identity for a ticket once, and within its time', () => {
    let now = 0;
    const box = boxAt(() => now);
    const [first, second] = [box.issue(identity('a')), box.issue(identity('a'))];
    expect(box.redeem(first?.ticket ?? '')).toEqual(identity('a'));
    expect(box.redeem(first?.ticket ?? '')).toBeUndefined();
    now = 30_000;
    expect(box.redeem(second?.ticket ?? '')).toBeUndefined();
    expect(box.redeem('never issued')).toBeUndefined();
  });

  it('gives none whose token has expired since', () => {
    let now = 0;
    const box = boxAt(() => now);
    const issued = box.issue(identity('a', 10));
    now = 10_000;
    expect(box.redeem(issued?.ticket ?? '')).toBeUndefined();
  });

  it('is bounded in all and per identity, and has room again when tickets are used or old', () => {
    let now = 0;
    const box = boxAt(() => now);
    const used = box.issue(identity('a'));
    box.issue(identity('a'));
    expect(box.issue(identity('a'))).toBeUndefined();
    box.redeem(used?.ticket ?? '');
    expect(box.issue(identity('a'))).toBeDefined();
    expect(box.issue(identity('b'))).toBeDefined();
    expect(box.issue(identity('c'))).toBeUndefined();
    now = 30_000;
    expect(box.issue(identity('c'))).toBeDefined();
  });

  it('makes tickets that cannot be guessed', () => {
    const box = boxAt(() => 0);
    const tickets = [box.issue(identity('a')), box.issue(identity('b'))].map((issued) => issued?.ticket ?? '');
    for (const ticket of tickets) expect(Buffer.from(ticket, 'base64url')).toHaveLength(32);
    expect(tickets[0]).not.toBe(tickets[1]);
  });

  function boxAt(wallClock: () => number): TicketBox {
    return new TicketBox({ lifetimeMs: 30_000, maxTickets: 3, maxTicketsPerIdentity: 2, wallClock });
  }
});

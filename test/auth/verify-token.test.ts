// Owns the proof that a token becomes an identity only by the configured keys, times, parties and roles.

import { createHmac, generateKeyPairSync } from 'node:crypto';
import fc from 'fast-check';
import jsonwebtoken from 'jsonwebtoken';
import { describe, expect, it } from 'vitest';
import type { AuthSettings } from '../../server/auth/auth-settings.ts';
import { mintToken } from '../../server/auth/mint-token.ts';
import { createTokenVerifier } from '../../server/auth/verify-token.ts';

const SECRET = 'the-first-secret-with-thirty-two-bytes';
const SECOND = 'the-second-secret-with-thirty-two-byte';
const NOW = 1_800_000_000;
const SUB = '550e8400-e29b-41d4-a716-446655440000';
const GOOD = { role: 'authenticated', sub: SUB, iat: NOW, exp: NOW + 600 };

const SETTINGS: AuthSettings = {
  jwtSecrets: [SECRET],
  allowNoExp: false,
  roleClaim: 'role',
  clockToleranceMs: 5_000,
  roles: ['anon', 'authenticated'],
  adminRoles: ['service_role'],
};

describe('a good token', () => {
  it('becomes an identity with all its claims', async () => {
    expect(await verify(sign({ ...GOOD, tenant: { id: 7 } }))).toEqual({
      ok: true,
      identity: {
        role: 'authenticated',
        isAdmin: false,
        sub: SUB,
        claims: { ...GOOD, tenant: { id: 7 } },
        expiresAt: NOW + 600,
        classKey: expect.stringMatching(/^authenticated:/),
      },
    });
  });

  it.each([
    ['without sub', { sub: undefined }, { sub: null }],
    ['with sub null', { sub: null }, { sub: null }],
    ['of an admin', { role: 'service_role' }, { role: 'service_role', isAdmin: true }],
    ['with a fraction in exp', { exp: NOW + 1.5 }, { expiresAt: NOW + 1 }],
    ['with nbf within the tolerance', { nbf: NOW + 4 }, { sub: SUB }],
    ['with a text that jsonb can hold', { name: '😀 \u0001' }, { sub: SUB }],
  ])('%s', async (_what, claims, identity) => {
    expect(await verify(sign({ ...GOOD, ...claims }))).toMatchObject({ ok: true, identity });
  });

  it('may be signed with either secret while rotating', async () => {
    const settings = { ...SETTINGS, jwtSecrets: [SECRET, SECOND] };
    for (const secret of [SECRET, SECOND]) {
      expect(await verify(sign(GOOD, secret), settings)).toMatchObject({ ok: true });
    }
  });

  it('may come from the command line', async () => {
    const token = mintToken({ secret: SECRET, claims: { role: 'service_role' }, expiresInSeconds: 60 });
    const verifier = createTokenVerifier({ settings: SETTINGS, wallClock: () => Date.now() });
    expect(await verifier.verify(token)).toMatchObject({ ok: true, identity: { isAdmin: true } });
  });
});

describe('a token is refused', () => {
  const deep = (depth: number): unknown => (depth === 0 ? 1 : { a: deep(depth - 1) });
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const refusals: [string, () => string, string][] = [
    ['that is empty', () => '', 'malformed'],
    ['that is no token', () => 'hello', 'malformed'],
    ['of two parts', () => 'a.b', 'malformed'],
    ['of four parts', () => `${sign(GOOD)}.x`, 'malformed'],
    ['with blanks', () => ` ${sign(GOOD)}`, 'malformed'],
    ['whose header is no JSON', () => `${base64('{')}.${base64('{}')}.x`, 'malformed'],
    ['whose header is null', () => `${base64('null')}.${base64('{}')}.x`, 'malformed'],
    ['of another type', () => sign(GOOD, SECRET, { typ: 'secevent+jwt' }), 'malformed'],
    ['whose claims are a list', () => signText('[]'), 'malformed'],
    ['whose claims are a text', () => signText('"x"'), 'malformed'],
    ['whose claims are no JSON', () => signText('{'), 'signature'],
    ['above 16 KiB', () => sign({ ...GOOD, pad: 'x'.repeat(16_384) }), 'too_large'],
    ['with alg none', () => `${base64('{"alg":"none"}')}.${base64(JSON.stringify(GOOD))}.`, 'algorithm'],
    ['with alg None', () => `${base64('{"alg":"None"}')}.${base64(JSON.stringify(GOOD))}.`, 'algorithm'],
    ['without alg', () => `${base64('{}')}.${base64(JSON.stringify(GOOD))}.x`, 'algorithm'],
    ['with HS512 by the same secret', () => jsonwebtoken.sign(GOOD, SECRET, { algorithm: 'HS512' }), 'algorithm'],
    [
      'with RS256 where there is no key set',
      () => jsonwebtoken.sign(GOOD, privateKey, { algorithm: 'RS256' }),
      'algorithm',
    ],
    ['with a critical header', () => sign(GOOD, SECRET, { crit: ['exp'] }), 'critical_header'],
    ['with an unencoded payload', () => sign(GOOD, SECRET, { b64: false }), 'critical_header'],
    ['by another secret', () => sign(GOOD, SECOND), 'signature'],
    ['whose claims were changed', () => tamper(sign(GOOD)), 'signature'],
    ['whose signature was cut off', () => `${sign(GOOD).split('.').slice(0, 2).join('.')}.`, 'signature'],
    ['that has expired', () => sign({ ...GOOD, exp: NOW - 1 }), 'expired'],
    ['that expires now', () => sign({ ...GOOD, exp: NOW }), 'expired'],
    ['that expired before 1970', () => sign({ ...GOOD, exp: -5 }), 'expired'],
    ['without exp', () => sign({ ...GOOD, exp: undefined }), 'no_expiry'],
    ['with exp as text', () => sign({ ...GOOD, exp: String(NOW + 600) }), 'time_claim'],
    ['with exp null', () => sign({ ...GOOD, exp: null }), 'time_claim'],
    ['with exp beyond what a number holds', () => signText(`{"role":"authenticated","exp":1e999}`), 'time_claim'],
    ['with exp beyond what a date holds', () => sign({ ...GOOD, exp: 1e300 }), 'time_claim'],
    ['with nbf as text', () => sign({ ...GOOD, nbf: 'now' }), 'time_claim'],
    ['with iat as a list', () => sign({ ...GOOD, iat: [NOW] }), 'time_claim'],
    ['that is not yet valid', () => sign({ ...GOOD, nbf: NOW + 6 }), 'not_yet_valid'],
    ['with a number as sub', () => sign({ ...GOOD, sub: 7 }), 'subject'],
    ['with an empty sub', () => sign({ ...GOOD, sub: '' }), 'subject'],
    ['without role', () => sign({ ...GOOD, role: undefined }), 'role'],
    ['with role none', () => sign({ ...GOOD, role: 'none' }), 'role'],
    ['with role null', () => sign({ ...GOOD, role: null }), 'role'],
    ['with a list of roles', () => sign({ ...GOOD, role: ['authenticated'] }), 'role'],
    ['with a role that is not listed', () => sign({ ...GOOD, role: 'postgres' }), 'role'],
    ['with a listed role in other case', () => sign({ ...GOOD, role: 'Authenticated' }), 'role'],
    ['with a listed role and a blank', () => sign({ ...GOOD, role: 'authenticated ' }), 'role'],
    ['with claims too deep', () => sign({ ...GOOD, a: deep(40) }), 'too_deep'],
    [
      'with claims very deep',
      () => signText(`{"role":"anon","exp":${NOW + 9},"a":${'['.repeat(5_000)}${']'.repeat(5_000)}}`),
      'too_deep',
    ],
    ['with U+0000 in a claim', () => sign({ ...GOOD, a: '\0' }), 'too_deep'],
    ['with U+0000 in a name', () => sign({ ...GOOD, a: { 'x\0': 1 } }), 'too_deep'],
    ['with half a surrogate pair', () => sign({ ...GOOD, a: ['\ud800'] }), 'too_deep'],
  ];
  it.each(refusals)('%s', async (_what, make, reason) => {
    expect(await verify(make())).toEqual({ ok: false, reason });
  });

  it('whatever else it is', async () => {
    const parts = fc.array(fc.string({ unit: 'binary' }), { maxLength: 4 });
    await fc.assert(
      fc.asyncProperty(parts, fc.boolean(), async (texts, encode) => {
        const token = texts.map((text) => (encode ? base64(text) : text)).join('.');
        expect(await verify(token)).toMatchObject({ ok: false });
      }),
    );
  });

  it('whatever single character of it is changed', async () => {
    const token = sign(GOOD);
    const last = token.length - 1;
    await fc.assert(
      fc.asyncProperty(fc.nat(last), fc.constantFrom('A', 'z', '0', '-', '_', '.', '=', ' '), async (at, character) => {
        const changed = token.slice(0, at) + character + token.slice(at + 1);
        // The last character of a signature carries two bits that decode to nothing.
        fc.pre(changed !== token && at !== last);
        expect(await verify(changed)).toMatchObject({ ok: false });
      }),
    );
  });
});

describe('settings', () => {
  it('may allow tokens without exp', async () => {
    const verdict = await verify(sign({ ...GOOD, exp: undefined }), { ...SETTINGS, allowNoExp: true });
    expect(verdict).toMatchObject({ ok: true, identity: { expiresAt: null } });
  });

  it('may ask for an issuer and an audience', async () => {
    const settings = { ...SETTINGS, issuer: 'https://id', audience: 'rowcast' };
    const right = { ...GOOD, iss: 'https://id', aud: 'rowcast' };
    expect(await verify(sign(right), settings)).toMatchObject({ ok: true });
    expect(await verify(sign({ ...right, aud: ['x', 'rowcast'] }), settings)).toMatchObject({ ok: true });
    expect(await verify(sign({ ...right, iss: 'https://other' }), settings)).toEqual({ ok: false, reason: 'issuer' });
    expect(await verify(sign({ ...right, iss: undefined }), settings)).toEqual({ ok: false, reason: 'issuer' });
    expect(await verify(sign({ ...right, aud: ['x'] }), settings)).toEqual({ ok: false, reason: 'audience' });
    expect(await verify(sign({ ...right, aud: undefined }), settings)).toEqual({ ok: false, reason: 'audience' });
  });

  it.each([
    ['another name', 'app_role', { app_role: 'anon' }],
    ['a path', 'app_metadata.role', { app_metadata: { role: 'anon' } }],
    ['a name with dots', 'https://id.test/role', { 'https://id.test/role': 'anon' }],
  ])('may name the role claim: %s', async (_what, roleClaim, claims) => {
    const token = sign({ ...GOOD, role: 'authenticated', ...claims });
    const verdict = await verify(token, { ...SETTINGS, roleClaim });
    // Policies read `role` of the claims, whichever claim named it.
    expect(verdict).toMatchObject({ ok: true, identity: { role: 'anon', claims: { role: 'anon' } } });
  });

  it('find no role in what objects inherit', async () => {
    for (const roleClaim of ['constructor.name', '__proto__.role', 'toString']) {
      expect(await verify(sign(GOOD), { ...SETTINGS, roleClaim, roles: ['Object', 'anon'] })).toMatchObject({
        ok: false,
      });
    }
  });

  it('may give a role to tokens that name none, but to none that names a wrong one', async () => {
    const settings = { ...SETTINGS, defaultRole: 'anon' };
    expect(await verify(sign({ ...GOOD, role: undefined }), settings)).toMatchObject({
      ok: true,
      identity: { role: 'anon', claims: { role: 'anon' } },
    });
    expect(await verify(sign({ ...GOOD, role: 'postgres' }), settings)).toEqual({ ok: false, reason: 'role' });
    expect(await verify(sign({ ...GOOD, role: null }), settings)).toEqual({ ok: false, reason: 'role' });
  });

  it.each([
    ['a short secret', { jwtSecrets: ['short'] }, '32 bytes'],
    ['three secrets', { jwtSecrets: [SECRET, SECRET, SECRET] }, 'at most two'],
    ['an admin as default', { defaultRole: 'service_role' }, 'default role'],
    ['a role named none', { roles: ['none'] }, 'none'],
    ['an admin role named none', { adminRoles: ['none'] }, 'none'],
    ['a key set over plain http', { jwksUrl: 'http://id.test/jwks' }, 'https'],
    ['a key set in a file', { jwksUrl: 'file:///etc/passwd' }, 'https'],
  ])('that contradict themselves are refused at the start: %s', (_what, wrong, words) => {
    const make = () => createTokenVerifier({ settings: { ...SETTINGS, ...wrong }, wallClock: () => 0 });
    expect(make).toThrow(words);
  });
});

describe('the class of an identity', () => {
  it('is equal for equal role and claims in any order, and else differs', async () => {
    const classOf = async (claims: object): Promise<string> => {
      const verdict = await verify(sign(claims));
      return verdict.ok ? verdict.identity.classKey : 'refused';
    };
    const one = await classOf({ role: 'anon', exp: NOW + 9, a: { x: 1, y: [1, 2] } });
    expect(await classOf({ a: { y: [1, 2], x: 1 }, exp: NOW + 9, role: 'anon' })).toBe(one);
    for (const other of [
      { role: 'authenticated', exp: NOW + 9, a: { x: 1, y: [1, 2] } },
      { role: 'anon', exp: NOW + 9, a: { x: 1, y: [2, 1] } },
      { role: 'anon', exp: NOW + 9, a: { x: '1', y: [1, 2] } },
      { role: 'anon', exp: NOW + 8, a: { x: 1, y: [1, 2] } },
    ]) {
      expect(await classOf(other)).not.toBe(one);
    }
  });
});

function verify(token: string, settings: AuthSettings = SETTINGS) {
  return createTokenVerifier({ settings, wallClock: () => NOW * 1000 }).verify(token);
}

/** Signed by hand: libraries refuse to sign much of what must be refused. */
function sign(claims: object, secret = SECRET, header: object = {}): string {
  return signText(JSON.stringify(claims), secret, header);
}

function signText(payload: string, secret = SECRET, header: object = {}): string {
  const input = `${base64(JSON.stringify({ alg: 'HS256', typ: 'JWT', ...header }))}.${base64(payload)}`;
  return `${input}.${createHmac('sha256', secret).update(input).digest('base64url')}`;
}

function tamper(token: string): string {
  const [header, , signature] = token.split('.');
  return [header, base64(JSON.stringify({ ...GOOD, role: 'service_role' })), signature].join('.');
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64url');
}

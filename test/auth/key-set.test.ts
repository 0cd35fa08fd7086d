// Owns the proof that public keys are fetched from a real server within bounds, and that a key set opens
// nothing but what it should.

import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { exportJWK, generateKeyPair, type JWK, SignJWT } from 'jose';
import { beforeAll, describe, expect, it } from 'vitest';
import type { AuthSettings } from '../../server/auth/auth-settings.ts';
import { mintToken } from '../../server/auth/mint-token.ts';
import { createTokenVerifier, type VerifierOptions } from '../../server/auth/verify-token.ts';

const ALGORITHMS = ['RS256', 'PS256', 'ES256', 'EdDSA'];
const SECRET = 'a-secret-of-at-least-thirty-two-bytes';
const keys = new Map<string, { readonly jwk: JWK; readonly privateKey: CryptoKey }>();

beforeAll(async () => {
  for (const kid of [...ALGORITHMS, 'late']) {
    const alg = kid === 'late' ? 'ES256' : kid;
    const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true });
    keys.set(kid, { jwk: { ...(await exportJWK(publicKey)), kid, alg, use: 'sig' }, privateKey });
  }
});

describe('a key set', () => {
  it.each(ALGORITHMS)('verifies %s', async (alg) => {
    await using keySet = await serveKeys();
    expect(await keySet.verify(await sign(alg))).toMatchObject({ ok: true, identity: { role: 'authenticated' } });
  });

  it('is fetched once for many tokens', async () => {
    await using keySet = await serveKeys();
    const tokens = await Promise.all(ALGORITHMS.map((alg) => sign(alg)));
    const verdicts = await Promise.all(tokens.map((token) => keySet.verify(token)));
    expect(verdicts.map((verdict) => verdict.ok)).toEqual([true, true, true, true]);
    expect(keySet.fetches).toBe(1);
  });

  it('is fetched again for an unknown key, but not again within the cool-down', async () => {
    await using keySet = await serveKeys();
    await keySet.verify(await sign('ES256'));
    for (let n = 0; n < 5; n++) expect(await keySet.verify(await sign('late'))).toEqual(refused('signature'));
    expect(keySet.fetches).toBe(1);
    await using impatient = await serveKeys({ cooldownMs: 0 });
    await impatient.verify(await sign('ES256'));
    impatient.publish('late');
    expect(await impatient.verify(await sign('late'))).toMatchObject({ ok: true });
    expect(impatient.fetches).toBe(2);
  });

  it('refuses a token by a key of somebody else under a known kid', async () => {
    await using keySet = await serveKeys();
    const { privateKey } = await generateKeyPair('ES256');
    expect(await keySet.verify(await sign('ES256', {}, privateKey))).toEqual(refused('signature'));
  });

  it('does not verify HS256, not even by a key of its own', async () => {
    await using keySet = await serveKeys({}, { jwtSecrets: [] });
    keySet.add({ kty: 'oct', kid: 'shared', alg: 'HS256', k: Buffer.from(SECRET).toString('base64url') });
    const token = mintToken({ secret: SECRET, claims: { role: 'authenticated' }, expiresInSeconds: 60 });
    expect(await keySet.verify(token)).toEqual(refused('algorithm'));
  });

  it('does not turn a public key into a secret', async () => {
    await using keySet = await serveKeys();
    const secret = JSON.stringify(keys.get('RS256')?.jwk);
    const forged = mintToken({ secret, claims: { role: 'service_role' }, expiresInSeconds: 60 });
    expect(await keySet.verify(forged)).toEqual(refused('signature'));
  });

  it('ignores keys that a token brings along', async () => {
    await using keySet = await serveKeys();
    const { privateKey, publicKey } = await generateKeyPair('ES256', { extractable: true });
    const jwk = await exportJWK(publicKey);
    const token = await new SignJWT({ role: 'authenticated' })
      .setProtectedHeader({ alg: 'ES256', jwk, jku: 'http://127.0.0.1:1/jwks' })
      .setExpirationTime('1m')
      .sign(privateKey);
    expect(await keySet.verify(token)).toEqual(refused('signature'));
  });
});

describe('admin roles from a key set', () => {
  it('need issuer and audience to be set', async () => {
    const claims = { role: 'service_role', iss: 'https://id', aud: 'rowcast' };
    await using open = await serveKeys();
    expect(await open.verify(await sign('ES256', claims))).toEqual(refused('role'));
    await using half = await serveKeys({}, { issuer: 'https://id' });
    expect(await half.verify(await sign('ES256', claims))).toEqual(refused('role'));
    await using closed = await serveKeys({}, { issuer: 'https://id', audience: 'rowcast' });
    expect(await closed.verify(await sign('ES256', claims))).toMatchObject({ ok: true, identity: { isAdmin: true } });
  });
});

describe('a key set that cannot be had', () => {
  it.each<[string, (response: import('node:http').ServerResponse) => void]>([
    ['an error', (response) => void response.writeHead(500).end('{}')],
    ['a redirect', (response) => void response.writeHead(302, { location: 'http://127.0.0.1:1/' }).end()],
    ['no JSON', (response) => void response.end('<html>')],
    ['no key set', (response) => void response.end('{"keys":7}')],
    ['too large', (response) => void response.end(JSON.stringify({ keys: [], pad: 'x'.repeat(300_000) }))],
    ['a cut connection', (response) => void response.destroy()],
    ['silence', () => {}],
  ])('%s is a refusal of its own', async (_what, answer) => {
    await using keySet = await serveKeys({ timeoutMs: 50 });
    keySet.answer = answer;
    expect(await keySet.verify(await sign('ES256'))).toEqual(refused('keys_unavailable'));
  });

  it('is not asked for again at once, but later', async () => {
    let now = 0;
    await using keySet = await serveKeys({ failureCooldownMs: 1_000, now: () => now });
    keySet.answer = (response) => void response.writeHead(500).end();
    for (let n = 0; n < 5; n++) expect(await keySet.verify(await sign('ES256'))).toEqual(refused('keys_unavailable'));
    expect(keySet.fetches).toBe(1);
    keySet.answer = undefined;
    now = 1_000;
    expect(await keySet.verify(await sign('ES256'))).toMatchObject({ ok: true });
  });

  it('leaves tokens by secret alone', async () => {
    await using keySet = await serveKeys({}, { jwtSecrets: [SECRET] });
    keySet.answer = (response) => void response.destroy();
    const token = mintToken({ secret: SECRET, claims: { role: 'authenticated' }, expiresInSeconds: 60 });
    expect(await keySet.verify(token)).toMatchObject({ ok: true });
    expect(keySet.fetches).toBe(0);
  });
});

function refused(reason: string) {
  return { ok: false, reason };
}

function sign(kid: string, claims: object = {}, key = keys.get(kid)?.privateKey): Promise<string> {
  const alg = kid === 'late' ? 'ES256' : kid;
  const signer = new SignJWT({ role: 'authenticated', ...claims }).setProtectedHeader({ alg, kid });
  return signer.setExpirationTime('1m').sign(key as CryptoKey);
}

/** A real server of a key set, and a verifier that uses it. */
async function serveKeys(bounds: Partial<VerifierOptions['keySet']> = {}, settings: Partial<AuthSettings> = {}) {
  const published: JWK[] = ALGORITHMS.map((kid) => keys.get(kid)?.jwk as JWK);
  const state = {
    fetches: 0,
    answer: undefined as ((response: import('node:http').ServerResponse) => void) | undefined,
  };
  const server: Server = createServer((_request, response) => {
    state.fetches += 1;
    if (state.answer !== undefined) return state.answer(response);
    response.setHeader('content-type', 'application/json').end(JSON.stringify({ keys: published }));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const verifier = createTokenVerifier({
    settings: {
      jwtSecrets: [SECRET],
      jwksUrl: `http://127.0.0.1:${port}/jwks`,
      allowNoExp: false,
      roleClaim: 'role',
      clockToleranceMs: 0,
      roles: ['authenticated'],
      adminRoles: ['service_role'],
      ...settings,
    },
    wallClock: () => Date.now(),
    keySet: { now: () => performance.now(), ...bounds },
  });
  return Object.assign(state, {
    verify: (token: string) => verifier.verify(token),
    publish: (kid: string) => void published.push(keys.get(kid)?.jwk as JWK),
    add: (jwk: JWK) => void published.push(jwk),
    [Symbol.asyncDispose]: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  });
}

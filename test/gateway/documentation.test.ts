// The OpenAPI document and its page: every route is in the document with all that a reader needs, and the page
// comes from this server alone.

import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type OpenGateway, openGateway } from './open-gateway.ts';

type Operation = {
  readonly operationId?: string;
  readonly summary?: string;
  readonly description?: string;
  readonly tags?: readonly string[];
  readonly security?: readonly object[];
  readonly parameters?: readonly { readonly name: string; readonly required?: boolean }[];
  readonly requestBody?: { readonly content: Record<string, { readonly schema: object; readonly example?: unknown }> };
  readonly responses: Record<string, { readonly description: string; readonly content?: object }>;
};
type Document = {
  readonly openapi: string;
  readonly info: Record<string, string>;
  readonly tags: readonly { readonly name: string }[];
  readonly paths: Record<string, Record<string, Operation>>;
};

const ROUTES = [
  'delete /api/realtime/messages',
  'get /api/realtime/config',
  'get /api/realtime/messages',
  'get /api/realtime/messages/stats',
  'patch /api/realtime/config',
  'delete /api/realtime/channels/{id}',
  'delete /api/realtime/connections/{id}',
  'delete /api/realtime/tables/{table}/watch',
  'delete /api/realtime/users/{sub}/connections',
  'get /api/realtime/channels',
  'get /api/realtime/channels/active',
  'get /api/realtime/channels/{id}',
  'get /api/realtime/connections',
  'get /api/realtime/permissions',
  'get /api/realtime/tables',
  'delete /api/realtime/sources/{id}',
  'get /api/realtime/sources',
  'get /api/realtime/sources/{id}',
  'get /api/realtime/sources/{id}/usage',
  'patch /api/realtime/sources/{id}',
  'get /api/events/stream',
  'get /realtime/sse',
  'post /api/in/{slug}',
  'post /api/realtime/sources',
  'post /api/realtime/sources/{id}/rotate',
  'get /livez',
  'get /metrics',
  'get /openapi.json',
  'get /readyz',
  'get /realtime',
  'post /api/realtime/channels',
  'post /api/realtime/permissions/check',
  'post /api/realtime/publish',
  'post /api/realtime/tables/{table}/watch',
  'post /api/realtime/ticket',
  'put /api/realtime/channels/{id}',
];

let server: OpenGateway;
let document: Document;
beforeAll(async () => {
  server = await openGateway();
  document = (await (await fetch(`${server.http}/openapi.json`)).json()) as Document;
});
afterAll(() => server[Symbol.asyncDispose]());

const operations = (): [string, Operation][] =>
  Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]): [string, Operation] => [`${method} ${path}`, operation]),
  );

describe('the OpenAPI document', () => {
  it('names the API, its version, and how to authenticate', () => {
    const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
    expect(document).toMatchObject({ openapi: '3.1.0', info: { title: 'Rowcast', version } });
    expect(document.info.description).toContain('Authorization: Bearer');
  });

  it('holds every route of the server', () => {
    expect(operations().map(([name]) => name)).toEqual(expect.arrayContaining(ROUTES));
  });

  it('says of every operation what it does, to whom it belongs, and what may go wrong', () => {
    const known = new Set(document.tags.map(({ name }) => name));
    for (const [name, operation] of operations()) {
      expect(operation.summary, name).toMatch(/^[A-Z].{3,80}$/);
      expect(operation.description, name).toMatch(/^.{10,}/s);
      expect(
        operation.tags?.every((tag) => known.has(tag)),
        name,
      ).toBe(true);
      const statuses = Object.keys(operation.responses);
      expect(
        statuses.some((status) => /^[12]/.test(status)),
        name,
      ).toBe(true);
      for (const { description } of Object.values(operation.responses))
        expect(description, name).not.toBe('Default Response');
      if (operation.security === undefined) continue;
      expect(statuses, name).toEqual(expect.arrayContaining(['401', '429', '503']));
    }
  });

  it('needs a token for everything below /api/realtime', () => {
    for (const [name, { security }] of operations())
      if (name.includes('/api/realtime/')) expect(security, name).toEqual([{ bearer: [] }]);
  });

  it('wants no parameter that has a default', () => {
    const parameters = operations().flatMap(([, operation]) => operation.parameters ?? []);
    const limits = parameters.filter(({ name }) => name === 'limit' || name === 'offset');
    expect(limits.length).toBeGreaterThan(3);
    expect(limits.filter(({ required }) => required)).toEqual([]);
  });

  it('has an example for every body', () => {
    const bodies = operations().filter(([, { requestBody }]) => requestBody !== undefined);
    expect(bodies.length).toBeGreaterThan(3);
    for (const [name, { requestBody }] of bodies)
      for (const content of Object.values(requestBody?.content ?? {}))
        expect(JSON.stringify(content), name).toContain('"example');
  });

  it('gives every operation an id of its own', () => {
    const ids = operations().map(([, { operationId }]) => operationId);
    expect(new Set(ids).size).toBe(ids.length);
    expect(ids).toContain('deleteUsersBySubConnections');
  });
});

describe('the page', () => {
  const get = (path: string): Promise<Response> => fetch(`${server.http}${path}`, { redirect: 'manual' });

  it('is found without its last slash', async () => {
    const answer = await get('/docs');
    expect([answer.status, answer.headers.get('location')]).toEqual([301, '/docs/']);
  });

  it('loads its program and its document from this server, and names no other host', async () => {
    const answer = await get('/docs/');
    const html = await answer.text();
    expect([answer.status, answer.headers.get('content-type')]).toEqual([200, 'text/html; charset=utf-8']);
    expect(html).not.toMatch(/https?:\/\//);
    expect(html).toContain('"url": "/openapi.json"');
    expect([...html.matchAll(/(?:src|href)="([^"]*)"/g)].map(([, url]) => url)).toEqual(['js/scalar.js']);
    const program = await get('/docs/js/scalar.js');
    expect([program.status, program.headers.get('content-type')]).toEqual([
      200,
      'application/javascript; charset=utf-8',
    ]);
    expect((await program.text()).length).toBeGreaterThan(1_000_000);
  });

  it('lets the browser ask this server alone', async () => {
    const policy = (await get('/docs/')).headers.get('content-security-policy') ?? '';
    expect(policy).toMatch(/default-src 'none'; script-src 'self' 'sha256-[\w+/=]+'/);
    expect(policy).toContain("connect-src 'self'");
    expect(policy).not.toMatch(/https?:|\*|unsafe-eval/);
  });
});

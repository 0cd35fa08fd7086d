// Owns what the OpenAPI document says of the API as a whole; each route says the rest in its own schema.

import { VERSION } from '../lib/version.ts';
import { errorResponses } from './error-responses.ts';

const DESCRIPTION = `
Rowcast delivers committed row changes and published messages of a PostgreSQL database, in commit order, to whoever
may see them. This is its HTTP side; sockets connect to \`/realtime\`.

**Authentication**: \`Authorization: Bearer <token>\`, a JWT with \`exp\` and a role. Roles of \`ROWCAST_ADMIN_ROLES\` are
admins and may do everything here. Roles of \`ROWCAST_ROLES\` may publish, read history as far as policies show it, and take
tickets. \`npm run token -- --role service_role\` makes a token for trying things out.

**Errors** are \`{"error", "message", "statusCode"}\`; \`error\` is a stable code, \`message\` is for people. 503 may be tried
again, 429 after \`Retry-After\` seconds. Unknown fields are errors.
`.trim();

export const OPENAPI = {
  openapi: '3.1.0',
  info: {
    title: 'Rowcast',
    description: DESCRIPTION,
    version: VERSION,
    license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
  },
  servers: [{ url: '/', description: 'This server' }],
  tags: [
    { name: 'channels', description: 'What may be subscribed to and published on' },
    { name: 'messages', description: 'Publishing, history and statistics' },
    { name: 'tables', description: 'Whose changes are watched' },
    { name: 'permissions', description: 'Who may do what, and why not' },
    { name: 'webhooks', description: 'Webhooks that go out' },
    { name: 'sources', description: 'Webhooks that come in' },
    { name: 'connections', description: 'Who is connected' },
    { name: 'realtime', description: 'Sockets' },
    { name: 'config', description: 'Settings that are kept in the database' },
    { name: 'operations', description: 'For those who run the server' },
  ],
  components: { securitySchemes: { bearer: { type: 'http' as const, scheme: 'bearer', bearerFormat: 'JWT' } } },
};

/** Routes of sockets are not seen by what makes the document. */
const UPGRADE = {
  tags: ['realtime'],
  summary: 'Open a WebSocket',
  description:
    'JSON frames in both directions. The first is `{"type": "auth", "token": "…"}`, unless the upgrade brings the token: ' +
    'in the Authorization header, as `?token=`, or as a ticket, `?ticket=`.',
  security: [{ bearer: [] }, {}],
  responses: {
    101: { description: 'The socket is open' },
    ...Object.fromEntries(
      Object.entries(errorResponses(400, 401, 403, 426, 429, 503)).map(([status, { description, ...schema }]) => [
        status,
        { description, content: { 'application/json': { schema } } },
      ]),
    ),
  },
};

type Operation = {
  operationId?: string;
  readonly responses?: Readonly<Record<string, { description?: string }>>;
};
type Document = { readonly paths?: Readonly<Record<string, Record<string, Operation>>> };

/** The document with what can be said of every operation alike: an id for generated clients, and no empty words. */
export function completed(document: object): object {
  const paths = { ...(document as Document).paths, '/realtime': { get: { ...UPGRADE } as Operation } };
  for (const [path, operations] of Object.entries(paths)) {
    for (const [method, operation] of Object.entries(operations)) {
      operation.operationId ??= operationId(method, path);
      for (const response of Object.values(operation.responses ?? {})) describe(response);
    }
  }
  return { ...document, paths };
}

function describe(response: { description?: string }): void {
  if (response.description === 'Default Response') response.description = 'Done';
}

/** `getChannelsById` for `GET /api/realtime/channels/{id}`. */
function operationId(method: string, path: string): string {
  const words = path
    .replace('/api/realtime', '')
    .replaceAll('{', 'by/')
    .split(/[^A-Za-z]+/);
  return method + words.map((word) => `${word.charAt(0).toUpperCase()}${word.slice(1)}`).join('');
}

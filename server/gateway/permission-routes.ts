// Owns the routes that explain permissions, for admins: `GET /api/realtime/permissions` as the base API prints
// it, and `POST /api/realtime/permissions/check`, which answers for any claims and writes nothing.

import type { FastifyInstance } from 'fastify';
import { type Static, Type } from 'typebox';
import type { AuthSettings } from '../auth/auth-settings.ts';
import { isHoldable } from '../auth/claims-check.ts';
import type { Identity } from '../auth/identity.ts';
import { makeIdentity } from '../auth/make-identity.ts';
import { roleOf } from '../auth/role-claim.ts';
import { MAX_PAYLOAD_DEPTH } from '../messages/payload-fault.ts';
import type { PermissionAnswer, PermissionQuestion } from '../policies/permission-check.ts';
import type { Action } from '../policies/permission-store.ts';
import type { PolicyList } from '../policies/policy-listing.ts';
import { parseChannelName } from '../protocol/channel-name.ts';
import { ADMIN_ERRORS, BODY_ERRORS } from './error-responses.ts';
import { type HttpRefusal, sendRefusal } from './http-refusal.ts';

/** What the policies room answers; each rejects when the database cannot be asked. */
export interface Permissions {
  list(): Promise<PolicyList>;
  check(action: Action, question: PermissionQuestion): Promise<PermissionAnswer>;
}

export type PermissionRoutesDeps = {
  readonly permissions: Permissions;
  readonly roles: Pick<AuthSettings, 'roleClaim' | 'defaultRole' | 'roles' | 'adminRoles'>;
};

const nullable = <T extends ReturnType<typeof Type.String> | ReturnType<typeof Type.Object>>(schema: T) =>
  Type.Union([schema, Type.Null()]);

const PolicySchema = Type.Object({
  policyName: Type.String(),
  tableName: Type.String({ description: 'realtime_channels or realtime_messages' }),
  command: Type.String(),
  roles: Type.Array(Type.String()),
  using: nullable(Type.String()),
  withCheck: nullable(Type.String()),
  schema: Type.String(),
  table: Type.String(),
  permissive: Type.Boolean(),
});
const PoliciesSchema = Type.Object({ policies: Type.Array(PolicySchema) });
const PermissionsSchema = Type.Object({ subscribe: PoliciesSchema, publish: PoliciesSchema });

const CheckSchema = Type.Object(
  {
    claims: Type.Record(Type.String(), Type.Unknown(), { description: 'As in a token; names the role' }),
    action: Type.Enum(['subscribe', 'publish']),
    channel: Type.String({ description: 'A concrete name' }),
    event: Type.Optional(Type.String({ minLength: 1, maxLength: 200, description: 'To publish' })),
    payload: Type.Optional(Type.Unknown({ description: 'To publish' })),
  },
  {
    additionalProperties: false,
    examples: [{ claims: { role: 'authenticated', sub: '42' }, action: 'subscribe', channel: 'chat:7' }],
  },
);
type CheckBody = Static<typeof CheckSchema>;

const TriedSchema = Type.Object({
  policyName: Type.String(),
  permissive: Type.Boolean(),
  result: Type.String({ description: 'passes, fails or raises' }),
  sqlstate: Type.Optional(Type.String()),
  message: Type.Optional(Type.String()),
});
const TableSchema = Type.Object({
  schema: Type.String(),
  table: Type.String(),
  watched: Type.Boolean(),
  complete: Type.Boolean(),
  identity: Type.String({ description: 'full, key or none' }),
  identityGap: nullable(Type.String()),
  rowSecurity: Type.Boolean({ description: 'Whether row security binds the role' }),
  policies: Type.Array(Type.Object({ policyName: Type.String(), permissive: Type.Boolean() })),
  columns: Type.Array(Type.String()),
  warnings: Type.Array(Type.Object({ code: Type.String(), message: Type.String() })),
});
const AnswerSchema = Type.Object({
  allowed: Type.Boolean(),
  reason: Type.String({ description: 'Stable code' }),
  message: Type.String(),
  channel: nullable(Type.Object({ pattern: Type.String(), enabled: Type.Boolean() })),
  policies: Type.Array(TriedSchema),
  table: Type.Optional(TableSchema),
});

const about = { tags: ['permissions'], security: [{ bearer: [] }] };
const UNHOLDABLE = 'hold no U+0000, no half surrogate pair, and no more levels than a token or a message may';

/** `scope` lets admins in alone. */
export function registerPermissionRoutes(scope: FastifyInstance, deps: PermissionRoutesDeps): void {
  const list = {
    ...about,
    summary: 'List the policies that decide who may subscribe and publish',
    description: 'The SELECT policies of `realtime.channels` and the INSERT policies of `realtime.messages`.',
    response: { 200: PermissionsSchema, ...ADMIN_ERRORS },
  };
  scope.get('/api/realtime/permissions', { schema: list }, () => deps.permissions.list());

  const check = {
    ...about,
    summary: 'Check whether claims may subscribe or publish, and what decides it',
    description: 'Answers as the policies do, and says what each of them said by itself. Writes nothing.',
    body: CheckSchema,
    response: { 200: AnswerSchema, ...ADMIN_ERRORS, ...BODY_ERRORS },
  };
  scope.post<{ Body: CheckBody }>('/api/realtime/permissions/check', { schema: check }, async (request, reply) => {
    const read = readQuestion(request.body, deps);
    return read.ok ? deps.permissions.check(request.body.action, read.question) : sendRefusal(reply, read.refusal);
  });
}

type Read =
  | { readonly ok: true; readonly question: PermissionQuestion }
  | { readonly ok: false; readonly refusal: HttpRefusal };

function readQuestion({ claims, action, channel, event, payload }: CheckBody, deps: PermissionRoutesDeps): Read {
  if (!isHoldable(claims)) return badRequest('bad_request', `claims ${UNHOLDABLE}`);
  const identity = identityOf(claims, deps);
  if (identity === undefined) return badRequest('unknown_role', 'The claims name no role of ROWCAST_ROLES');
  const parsed = parseChannelName(channel);
  if (!parsed.ok) return badRequest(parsed.refusal.code, parsed.refusal.message);
  const ofPublish = event !== undefined || payload !== undefined;
  if (action === 'subscribe' && ofPublish) return badRequest('bad_request', 'event and payload are for publish');
  if (action === 'publish' && event === undefined) return badRequest('bad_request', 'publish needs an event');
  if (!isHoldable([event, payload], MAX_PAYLOAD_DEPTH))
    return badRequest('bad_request', `event and payload ${UNHOLDABLE}`);
  const given = payload === undefined ? {} : payload;
  return { ok: true, question: { identity, channel: parsed.channel, event: event ?? '', payload: given } };
}

// As a token with these claims would be taken, signed with the secret.
function identityOf(claims: Readonly<Record<string, unknown>>, { roles }: PermissionRoutesDeps): Identity | undefined {
  const settings = { ...roles, jwtSecrets: [], allowNoExp: true, clockToleranceMs: 0 };
  const found = roleOf(claims, 'secret', settings);
  return found === undefined ? undefined : makeIdentity({ ...found, claims });
}

function badRequest(error: string, message: string): Read {
  return { ok: false, refusal: { statusCode: 400, error, message } };
}

// Owns the schemas of watched tables: what is validated, and what the document shows.

import { Type } from 'typebox';
import { uuidSchema } from './uuid-schema.ts';

const MAX_ROLES = 100;

const warnings = Type.Array(Type.Object({ code: Type.String(), message: Type.String() }), {
  description:
    'What will not come, and why: `inserts_only`, `identity_not_full`, `no_policy`, `no_grant`, `row_security_off`, ' +
    '`not_published`, `table_missing`',
});
const policies = Type.Array(Type.Object({ policyName: Type.String(), permissive: Type.Boolean() }), {
  description: 'SELECT policies of the table that apply to the role',
});

const RoleSchema = Type.Object({
  role: Type.String({ description: 'Of `ROWCAST_ROLES`' }),
  opened: Type.Boolean({
    description: 'Whether `roles` of the watching lets it subscribe; other policies may as well',
  }),
  columns: Type.Array(Type.String(), { description: 'That it may SELECT' }),
  rowSecurity: Type.Boolean({ description: 'Whether row security binds it' }),
  policies,
  warnings,
});

export const WatchedTableSchema = Type.Object({
  schema: Type.String({ examples: ['public'] }),
  table: Type.String({ examples: ['posts'] }),
  channel: Type.String({ description: 'Canonical: bare for schema public', examples: ['db:posts'] }),
  channelId: uuidSchema('Of the channel row'),
  enabled: Type.Boolean({ description: 'Of the channel row' }),
  complete: Type.Boolean({
    description: 'False while a transaction is open that may have written before it was watched',
  }),
  identity: Type.Enum(['full', 'key', 'none'], { description: 'Old rows: whole, their key, or none' }),
  identityGap: Type.Union([Type.String(), Type.Null()], {
    description: 'Why UPDATE and DELETE are not published; null where they are',
  }),
  rowSecurity: Type.Boolean({ description: 'Whether the table has row security' }),
  columns: Type.Array(Type.String()),
  roles: Type.Array(RoleSchema),
  warnings,
});

export const TableParams = Type.Object(
  {
    table: Type.String({
      description:
        '`schema.table`, or `table` of schema public; identifiers double-quoted where SQL would need it, URL-encoded: ' +
        '`audit."Order Items"` is `audit.%22Order%20Items%22`',
      examples: ['public.posts'],
    }),
  },
  { additionalProperties: false },
);

export const WatchSchema = Type.Object(
  {
    full: Type.Optional(
      Type.Boolean({
        description:
          'Sets REPLICA IDENTITY FULL, so that updates and deletes carry the whole old row. False leaves it as it is',
      }),
    ),
    roles: Type.Optional(
      Type.Array(Type.String(), {
        maxItems: MAX_ROLES,
        description:
          'Roles out of `ROWCAST_ROLES` that may subscribe: they get a SELECT policy on `realtime.channels` for this ' +
          "one channel. What they see of it is decided by the table's own grants and policies. Empty takes the policy " +
          'away; left out leaves it as it is',
      }),
    ),
  },
  { additionalProperties: false, examples: [{ full: true, roles: ['authenticated'] }] },
);

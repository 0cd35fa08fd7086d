// Owns the table of all settings: variable, kind, default and meaning. The documentation, the flags, the
// shape of Config and `npm run config` all follow from it. A flag is the variable without `ROWCAST_`, in
// lower case with hyphens: ROWCAST_DATA_DIR is --data-dir, PORT is --port.

import { bytes, choice, duration, flag, integer, list, networks, text, url } from './kinds.ts';
import { LIMIT_SETTINGS } from './limit-settings.ts';
import { POLICY_SETTINGS } from './policy-settings.ts';
import { REPLAY_SETTINGS } from './replay-settings.ts';
import { optional, type Setting, secret, setting, waitTime } from './setting.ts';
import { SOCKET_SETTINGS } from './socket-settings.ts';
import { DELIVERY_SETTINGS, REPLICATION_SETTINGS } from './stream-settings.ts';
import { WEBHOOK_SETTINGS } from './webhook-settings.ts';

const roleList = list('role names', 'anon,authenticated', '^[^\\s,]{1,63}$');
const databaseUrl = url(['postgres', 'postgresql'], 'postgres://user:password@localhost:5432/app');

export const SETTINGS = {
  database: {
    url: secret(
      optional(
        'DATABASE_URL',
        databaseUrl,
        'The database to serve. Absent: an embedded PostgreSQL 18 is set up and started.',
      ),
    ),
    policyUrl: secret(
      optional(
        'ROWCAST_POLICY_DATABASE_URL',
        databaseUrl,
        'The unprivileged login under which policies run. Made where possible.',
      ),
    ),
    poolSize: setting('ROWCAST_POOL_SIZE', integer(2, 200, 10), '10', 'Connections for REST, channels and history.'),
    connectTimeoutMs: setting(
      'ROWCAST_CONNECT_TIMEOUT',
      waitTime('5s'),
      '5s',
      'How long one attempt to connect may take.',
    ),
    statementTimeoutMs: setting(
      'ROWCAST_STATEMENT_TIMEOUT',
      waitTime('30s'),
      '30s',
      'After this a statement of the server is cancelled.',
    ),
    cataloguePollMs: setting(
      'ROWCAST_CATALOGUE_POLL',
      waitTime('1s'),
      '1s',
      'How often keys and columns of watched tables are looked at.',
    ),
  },
  storage: {
    dataDir: setting(
      'ROWCAST_DATA_DIR',
      text('the path of a folder', '.rowcast'),
      '.rowcast',
      'Holds the embedded database and the generated secret.',
    ),
  },
  http: {
    host: setting(
      'HOST',
      text('an address or a host name', '0.0.0.0', '^[^\\s/]+$'),
      '127.0.0.1',
      'Where the server listens.',
    ),
    port: setting('PORT', integer(0, 65_535, 4000), '4000', 'The port it listens on; 0 takes a free one.'),
    allowedOrigins: setting(
      'ROWCAST_ALLOWED_ORIGINS',
      list('origins, or *', 'https://app.example.com', '^(\\*|https?://[^\\s/]+)$'),
      '',
      'Browser origins that may connect. Empty: the same host only.',
    ),
    trustProxy: setting('ROWCAST_TRUST_PROXY', networks, '', 'Proxies whose X-Forwarded-For is believed.'),
    maxBodyBytes: setting(
      'ROWCAST_MAX_BODY',
      bytes('1KiB', '64MiB', '4MiB'),
      '4MiB',
      'The largest body of a REST request.',
    ),
  },
  auth: {
    jwtSecrets: secret(
      optional(
        'ROWCAST_JWT_SECRET',
        list(
          'one secret of 32 bytes or more, or two while rotating',
          'the output of: openssl rand -base64 32',
          '^.{32,}$',
          2,
        ),
        'HS256 secrets. Absent: one is generated and kept in the data folder.',
      ),
    ),
    jwksUrl: optional(
      'ROWCAST_JWKS_URL',
      url(['https', 'http'], 'https://id.example.com/.well-known/jwks.json'),
      'Public keys for RS, ES and EdDSA tokens.',
    ),
    issuer: optional(
      'ROWCAST_JWT_ISSUER',
      text('the iss of your tokens', 'https://id.example.com/'),
      'Tokens must carry this iss.',
    ),
    audience: optional(
      'ROWCAST_JWT_AUDIENCE',
      text('the aud of your tokens', 'authenticated'),
      'Tokens must carry this aud.',
    ),
    roleClaim: setting(
      'ROWCAST_JWT_ROLE_CLAIM',
      text('the name or the path of a claim', 'app_metadata.role', '^[^\\s]+$'),
      'role',
      'The claim that names the role; dots lead into objects.',
    ),
    defaultRole: optional(
      'ROWCAST_DEFAULT_ROLE',
      text('a role name', 'authenticated', '^\\S{1,63}$'),
      'The role of a token that names none. Absent: it is refused.',
    ),
    roles: setting('ROWCAST_ROLES', roleList, 'anon,authenticated', 'Database roles that a token may have.'),
    adminRoles: setting(
      'ROWCAST_ADMIN_ROLES',
      roleList,
      'service_role,project_admin',
      'Roles of admins: never SET, see everything.',
    ),
    allowAnon: setting('ROWCAST_ALLOW_ANON', flag, 'false', 'Whether a connection without a token has the role anon.'),
    allowNoExp: setting('ROWCAST_JWT_ALLOW_NO_EXP', flag, 'false', 'Whether tokens without exp are taken.'),
    clockToleranceMs: setting(
      'ROWCAST_CLOCK_TOLERANCE',
      duration('0', '5m', '5s'),
      '5s',
      'How early a token (nbf) may come.',
    ),
    deadlineMs: setting(
      'ROWCAST_AUTH_DEADLINE',
      waitTime('10s'),
      '10s',
      'A socket must be authenticated by then, else 4401.',
    ),
    maxTries: setting('ROWCAST_AUTH_TRIES', integer(1, 100, 3), '3', 'Tokens a socket may try, else 4401.'),
    failuresPerMinute: setting(
      'ROWCAST_AUTH_FAILURES_PER_MINUTE',
      integer(1, 1_000_000, 10),
      '10',
      'Failed tokens of one address a minute.',
    ),
    expiryNoticeMs: setting(
      'ROWCAST_EXPIRY_NOTICE',
      waitTime('30s'),
      '30s',
      'How long before its end a token is announced as expiring.',
    ),
    ticketMs: setting('ROWCAST_TICKET_TTL', waitTime('30s'), '30s', 'How long a ticket is good.'),
  },
  socket: SOCKET_SETTINGS,
  replication: REPLICATION_SETTINGS,
  delivery: DELIVERY_SETTINGS,
  replay: REPLAY_SETTINGS,
  policies: POLICY_SETTINGS,
  webhooks: WEBHOOK_SETTINGS,
  limits: LIMIT_SETTINGS,
  shutdown: {
    spreadMs: setting(
      'ROWCAST_SHUTDOWN_SPREAD',
      duration('0', '5m', '500ms'),
      '500ms',
      'Sockets are closed (1012) at random moments within this time.',
    ),
    drainMs: setting(
      'ROWCAST_SHUTDOWN_DRAIN',
      waitTime('10s'),
      '10s',
      'How long what is queued may take to leave before the end.',
    ),
  },
  log: {
    level: setting(
      'ROWCAST_LOG_LEVEL',
      choice(['debug', 'info', 'warn', 'error']),
      'info',
      'The least important lines that are logged.',
    ),
  },
} as const satisfies Readonly<Record<string, Readonly<Record<string, Setting<never> | Setting<unknown>>>>>;

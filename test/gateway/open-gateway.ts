// Owns a gateway for tests: the real one, on a free port of loopback, with a real hub and authenticator. The
// subscribe policy is a plain object, since deciding is another room's business.

import { randomUUID } from 'node:crypto';
import { AddressLimit } from '../../server/auth/address-limit.ts';
import { type Authenticator, createAuthenticator } from '../../server/auth/authenticator.ts';
import type { Identity } from '../../server/auth/identity.ts';
import { mintToken } from '../../server/auth/mint-token.ts';
import { createTokenVerifier } from '../../server/auth/verify-token.ts';
import { loadConfig } from '../../server/config/config.ts';
import { createGateway, type GatewayDeps } from '../../server/gateway/gateway.ts';
import type { GatewayBounds } from '../../server/gateway/gateway-settings.ts';
import type { HealthReport } from '../../server/gateway/health-report.ts';
import type { Permissions } from '../../server/gateway/permission-routes.ts';
import type { MessagePublisher } from '../../server/gateway/publish-intake.ts';
import { SubscribedChannels } from '../../server/gateway/subscribed-channels.ts';
import { Hub } from '../../server/hub/hub.ts';
import type { LogFields, Logger } from '../../server/lib/logger.ts';
import { formatPosition, type Position, toEpoch, toLsn } from '../../server/lib/position.ts';
import type { Allowed, SubscribeDecision, SubscribePolicy } from '../../server/policies/subscribe-decision.ts';
import { CHANNEL_UNAVAILABLE, type Refusal } from '../../server/protocol/error-codes.ts';
import type { EndReason, ServerFrame } from '../../server/protocol/server-frame.ts';
import { createMetrics } from '../../server/stats/metrics.ts';
import { TestSocket } from './test-socket.ts';

export const SECRET = 'a-secret-of-at-least-thirty-two-bytes';
export const USER = '550e8400-e29b-41d4-a716-446655440000';

export type OpenOptions = {
  /** Settings by variable, as in the environment. */
  readonly env?: Record<string, string> | undefined;
  readonly bounds?: Partial<GatewayBounds> | undefined;
  /** Default: admins and `authenticated` may subscribe to everything but channels that contain `secret`. */
  readonly policy?: SubscribePolicy | undefined;
  /** Default: no policies, and everything is denied. */
  readonly permissions?: Permissions | undefined;
  /** Default: everything is published. */
  readonly publisher?: MessagePublisher | undefined;
  readonly health?: (() => HealthReport) | undefined;
  readonly systemNotice?: (() => ServerFrame | undefined) | undefined;
  /** Default: the real one, over the secret of the tests. */
  readonly authenticator?: Authenticator | undefined;
};

export type OpenGateway = Awaited<ReturnType<typeof openGateway>>;

/** A listening gateway; `await using` closes it. */
export async function openGateway(options: OpenOptions = {}) {
  const config = configOf(options.env ?? {});
  const log = new CollectingLog();
  const metrics = createMetrics();
  const now = () => performance.now();
  const wallClock = () => Date.now();
  const { maxQueuedBytes, maxQueuedMs } = config.socket;
  const hub = new Hub({
    maxQueuedBytes,
    tooSlowAfterMs: maxQueuedMs,
    drainingWithinMs: 1_000,
    hardBoundFactor: 16,
    now,
  });
  const stream = { position: positionAt(100n) };
  const reviews = { begun: 0 };
  const subscribedChannels = new SubscribedChannels();
  const perWindow = config.auth.failuresPerMinute;
  const deps: GatewayDeps = {
    config,
    bounds: options.bounds,
    log,
    hub,
    authenticator:
      options.authenticator ??
      createAuthenticator({
        verifier: createTokenVerifier({
          settings: { ...config.auth, jwtSecrets: config.auth.jwtSecrets ?? [] },
          wallClock,
        }),
        failedTokens: config.limits.rateLimit ? new AddressLimit({ perWindow, windowMs: 60_000, now }) : undefined,
        log,
        onRefusal: (reason) => metrics.authFailures.inc({ reason }),
      }),
    subscribePolicy: options.policy ?? defaultPolicy,
    subscribedChannels,
    reviewsBegun: () => reviews.begun,
    resumption: FORGETFUL,
    permissions: options.permissions ?? NO_PERMISSIONS,
    publisher: options.publisher ?? willingPublisher,
    history: NO_HISTORY,
    channels: NO_CHANNELS,
    tables: NO_TABLES,
    sources: NO_SOURCES,
    sourceIntake: NO_INTAKE,
    webhooks: NO_WEBHOOKS,
    sourceTokens: NO_TOKENS,
    position: () => stream.position,
    systemNotice: options.systemNotice ?? (() => undefined),
    health: options.health ?? (() => ({ ready: true, reasons: [] })),
    isPassing: () => false,
    metrics,
    now,
    wallClock,
  };
  const gateway = createGateway(deps);
  const { host, port } = await gateway.listen();
  const http = `http://${host}:${port}`;
  const url = `ws://${host}:${port}/realtime`;
  const sockets = new Set<TestSocket>();
  return {
    gateway,
    hub,
    log,
    metrics,
    stream,
    /** Counts reviews of live subscriptions; none runs by itself here. */
    reviews,
    subscribedChannels,
    http,
    url,
    port,
    /** An open socket that has not authenticated. */
    async connect(query = '', headers: Record<string, string> = {}): Promise<TestSocket> {
      const socket = new TestSocket(url + query, headers);
      sockets.add(socket);
      // Kept no longer than they live: a test weighs the heap.
      socket.closed.then(() => sockets.delete(socket));
      await socket.opened;
      return socket;
    },
    /** An open socket whose `auth` was answered. */
    async login(
      claims: Record<string, unknown> = { role: 'authenticated', sub: USER },
      seconds = 600,
    ): Promise<TestSocket> {
      const socket = await this.connect();
      socket.send({ type: 'auth', token: token(claims, seconds) });
      await socket.frame('auth_success');
      return socket;
    },
    async [Symbol.asyncDispose](): Promise<void> {
      for (const socket of sockets) socket.terminate();
      await gateway.close();
      metrics.close();
    },
  };
}

/** A token that the test gateways accept. */
export function token(claims: Record<string, unknown> = { role: 'authenticated', sub: USER }, seconds = 600): string {
  return mintToken({ secret: SECRET, claims, expiresInSeconds: seconds });
}

export function positionAt(lsn: bigint, index = 0): Position {
  return formatPosition({ epoch: toEpoch(1), lsn: toLsn(lsn), index });
}

/** A decision that allows a channel which is no table. */
export const ALLOWED: Allowed = {
  allowed: true,
  warnings: [],
  whereWarnings: [],
  table: null,
  watch: null,
  isComplete: true,
};

const NO_COLUMNS: NonNullable<Allowed['table']> = {
  oid: 1,
  schema: 'public',
  name: 'posts',
  columns: new Map(),
  roles: new Map(),
  fingerprint: '',
};

/** A policy that gives each question the same answer. */
export function policyOf(decide: SubscribePolicy['decide']): SubscribePolicy {
  return {
    decide,
    review: (questions) => Promise.all(questions.map(({ identity, channel }) => decide(identity, channel))),
    readFilter: async () => ({ ok: true, filter: null }),
  };
}

/** A refusal as policies give it. */
export function refusal(refusal: Refusal, endReason: EndReason = 'not_allowed'): SubscribeDecision {
  return { allowed: false, refusal, endReason };
}

const defaultPolicy = policyOf(async (identity: Identity, channel) => {
  const isKnown = !channel.canonical.includes('secret') && !channel.canonical.includes('missing');
  const allowed = channel.kind === 'table' ? { ...ALLOWED, table: NO_COLUMNS } : ALLOWED;
  if (identity.isAdmin || (identity.role === 'authenticated' && isKnown)) return allowed;
  return refusal({ code: 'channel_unavailable', message: CHANNEL_UNAVAILABLE, detail: 'for admins' });
});

const willingPublisher: MessagePublisher = {
  publish: async (_identity, _connectionId, requests) => ({
    ok: true,
    published: requests.map(() => ({ messageId: randomUUID(), isEphemeral: false })),
  }),
};

const NO_PERMISSIONS: Permissions = {
  list: async () => ({ subscribe: { policies: [] }, publish: { policies: [] } }),
  check: async () => ({ allowed: false, reason: 'no_channel', message: '', channel: null, policies: [] }),
};

const MISSING = { ok: false, refusal: { code: 'not_found', message: 'There is none' } } as const;

const NO_CHANNELS: GatewayDeps['channels'] = {
  list: async () => [],
  get: async () => MISSING,
  create: async () => MISSING,
  update: async () => MISSING,
  remove: async () => MISSING,
};

const NO_HISTORY: GatewayDeps['history'] = {
  read: async () => ({ kind: 'json', json: '[]' }),
  stats: async () => ({ totalMessages: 0, whDeliveryRate: 0, topEvents: [], whAudience: 0, whDelivered: 0 }),
  removeBefore: async () => ({ deleted: 0, isComplete: true }),
  settings: async () => ({ retentionDays: 7 }),
  changeSettings: async (settings) => settings,
};

const NO_TABLES: GatewayDeps['tables'] = {
  watching: { watch: async () => MISSING.refusal, unwatch: async () => false },
  reports: { read: async () => [] },
};

const NO_SOURCES: GatewayDeps['sources'] = {
  list: async () => [],
  get: async () => MISSING,
  create: async () => MISSING,
  update: async () => MISSING,
  rotate: async () => MISSING,
  remove: async () => MISSING,
  usage: async () => undefined,
};

const NO_WEBHOOKS: GatewayDeps['webhooks'] = {
  endpoints: {
    list: async () => [],
    get: async () => MISSING,
    create: async () => MISSING,
    update: async () => MISSING,
    pause: async () => MISSING,
    resume: async () => MISSING,
    rotate: async () => MISSING,
    remove: async () => MISSING,
  },
  deliveries: {
    list: async () => [],
    get: async () => MISSING,
    resend: async () => MISSING,
    recover: async () => MISSING,
    test: async () => MISSING,
  },
  findUrlFault: () => undefined,
};

const NO_TOKENS: GatewayDeps['sourceTokens'] = {
  find: async () => undefined,
  onSourceEnded: () => () => {},
};

const NO_INTAKE: GatewayDeps['sourceIntake'] = {
  find: async () => ({ kind: 'unknown' }),
  accept: async () => ({ kind: 'unknown' }),
};

function configOf(env: Record<string, string>) {
  const loaded = loadConfig({ argv: [], env: { ROWCAST_JWT_SECRET: SECRET, PORT: '0', ...env }, cwd: '/nonexistent' });
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems));
  return loaded.config;
}

/** Keeps what is logged, as the text that would stand in the log. */
export class CollectingLog implements Logger {
  readonly lines: string[] = [];
  debug(fields: LogFields, message: string): void {
    this.#add('debug', fields, message);
  }
  info(fields: LogFields, message: string): void {
    this.#add('info', fields, message);
  }
  warn(fields: LogFields, message: string): void {
    this.#add('warn', fields, message);
  }
  error(fields: LogFields, message: string): void {
    this.#add('error', fields, message);
  }
  #add(level: string, fields: LogFields, message: string): void {
    const shown = fields.err instanceof Error ? { ...fields, err: fields.err.stack } : fields;
    this.lines.push(JSON.stringify({ level, ...shown, message }));
  }
}

/** Knows of no history: whatever is asked for is told to be lost. */
const FORGETFUL: GatewayDeps['resumption'] = {
  find: () => Promise.resolve({ kind: 'unrecovered', reason: 'unknown' }),
  isKept: () => false,
  backlog: () => {
    throw new Error('nothing is replayed here');
  },
  begin: () => undefined,
};

// Owns `POST /api/in/:slug`, where foreign systems post their webhooks. Whoever knows the slug is the sender; so the slug
// is looked up before anything of the body is read. Then, in this order: 429, 413, 401 where signatures are checked, 402,
// 400, and 200 once it is committed. Whatever is not answered with 200 is not counted.

import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { findPayloadFault, tooLarge } from '../messages/payload-fault.ts';
import type { Metrics } from '../stats/metrics.ts';
import { keptHeaders } from '../webhooks/kept-headers.ts';
import type { Intake, IntakeLookup, IntakeSource, ReceivedWebhook } from '../webhooks/source-intake.ts';
import { findSignatureFault } from '../webhooks/source-signature.ts';
import { errorResponses } from './error-responses.ts';
import { type HttpRefusal, sendRefusal } from './http-refusal.ts';
import { formatInstant } from './instant.ts';
import { NO_SUCH_SLUG, TOO_MANY_WAIT, WebhookAdmission, type WebhookRates } from './webhook-admission.ts';

/** What the webhooks room does; each rejects when the database cannot be asked. */
export interface WebhookIntake {
  find(slug: string): Promise<IntakeLookup>;
  accept(webhook: ReceivedWebhook): Promise<Intake>;
}

export type WebhookInDeps = {
  readonly sourceIntake: WebhookIntake;
  readonly maxMessageBytes: number;
  /** Undefined: rate limits are off. */
  readonly rates: WebhookRates | undefined;
  readonly metrics: Pick<Metrics, 'webhooksReceived' | 'rateLimited'>;
  /** Milliseconds of a monotonic clock. */
  readonly now: () => number;
  /** Milliseconds of Unix time. */
  readonly wallClock: () => number;
};

type Route = { Params: { readonly slug: string }; Body: Buffer | undefined };

/** What came, as far as its bytes tell; the payload's text is undefined where it is no JSON. */
type Read = {
  readonly headers: FastifyRequest['raw']['headers'];
  readonly body: Buffer;
  readonly receivedAtMs: number;
  readonly payload: string | undefined;
};

const SCHEMA = {
  tags: ['sources'],
  summary: 'Post a webhook',
  description:
    'For senders; the slug is all they need. Any JSON, whatever its content type says. The answer comes once it is ' +
    'committed; then it is published on the channel of the source. Anything but 200 was not counted.',
  params: Type.Object({ slug: Type.String({ description: 'Of a source', examples: ['Zk3vJx0cQ2mT5wYb8nRfLs1p'] }) }),
  // Senders add parameters of their own to whatever URL they are given.
  querystring: Type.Object({}, { additionalProperties: true }),
  body: Type.Unknown({ description: 'Any JSON', examples: [{ event: 'user.signup', email: 'test@example.com' }] }),
  response: {
    200: Type.Object({ id: Type.String({ format: 'uuid', description: 'messageId of what was published' }) }),
    ...errorResponses(400, 401, 402, 404, 413, 429, 500, 503),
  },
};
// Over what the sender says: also a content type that cannot be read keeps nobody from its body.
const READ_AS_BYTES = { 'content-type': 'application/octet-stream' };

/** Changes how `scope` reads bodies: it is to be of this route alone. */
export function registerWebhookInRoute(scope: FastifyInstance, deps: WebhookInDeps): void {
  const { metrics, maxMessageBytes: bodyLimit, sourceIntake } = deps;
  const admitted = new WeakMap<FastifyRequest, IntakeSource>();
  const admission = new WebhookAdmission({ ...deps, find: (slug) => sourceIntake.find(slug) });
  scope.removeAllContentTypeParsers();
  scope.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body));
  scope.addHook('onRequest', async (request, reply) => {
    const { slug } = request.params as Route['Params'];
    const verdict = await admission.admit(request, slug);
    if (!verdict.ok) return sendRefusal(reply, verdict.refusal);
    admitted.set(request, verdict.source);
    request.headers = READ_AS_BYTES;
    return undefined;
  });
  scope.addHook('onResponse', async (_request, { statusCode }) =>
    metrics.webhooksReceived.inc({ status: String(statusCode) }),
  );
  scope.post<Route>('/api/in/:slug', { schema: SCHEMA, bodyLimit }, async (request, reply) => {
    const body = request.body ?? Buffer.alloc(0);
    const { headers } = request.raw;
    const read = { headers, body, receivedAtMs: deps.wallClock(), payload: readJson(body) };
    return receive(reply, admitted.get(request) as IntakeSource, read, deps);
  });
}

async function receive(
  reply: FastifyReply,
  source: IntakeSource,
  read: Read,
  { sourceIntake, maxMessageBytes }: WebhookInDeps,
): Promise<FastifyReply> {
  const refusal = findRefusal(source, read, maxMessageBytes);
  if (refusal !== undefined) return sendRefusal(reply, refusal);
  const intake = await sourceIntake.accept({
    sourceId: source.id,
    receivedAt: formatInstant(read.receivedAtMs),
    headers: keptHeaders(read.headers),
    payload: read.payload as string,
  });
  if (intake.kind === 'accepted') return reply.send({ id: intake.messageId });
  return sendRefusal(reply, intake.kind === 'too_large' ? tooLargeFor(maxMessageBytes) : REFUSALS[intake.kind]);
}

/** The first reason for which the database needs not be asked. */
function findRefusal(source: IntakeSource, read: Read, maxBytes: number): HttpRefusal | undefined {
  const { verificationSecret: secret, isUsedUp } = source;
  const fault = read.payload === undefined ? undefined : findPayloadFault(read.payload, maxBytes);
  if (fault?.kind === 'too_large') return tooLargeFor(maxBytes);
  const signatureFault = secret === null ? undefined : findSignatureFault(secret, read);
  if (signatureFault !== undefined) return { statusCode: 401, error: 'bad_signature', message: signatureFault };
  if (isUsedUp) return REFUSALS.used_up;
  if (read.payload === undefined) return badRequest('body is not valid JSON in UTF-8');
  return fault === undefined ? undefined : badRequest(fault.message);
}

/** The text of a body that is JSON; else undefined. */
function readJson(body: Buffer): string | undefined {
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(body);
    JSON.parse(text);
    return text;
  } catch {
    return undefined;
  }
}

// A channel that is closed is a mistake that an admin can mend: the sender is to try again.
const REFUSALS = {
  unknown: NO_SUCH_SLUG,
  used_up: { statusCode: 402, error: 'quota_exceeded', message: 'The monthly quota of this webhook URL is used up' },
  unholdable: badRequest('The payload holds something that the database cannot hold'),
  closed: { statusCode: 503, error: 'unavailable', message: 'The channel of this webhook URL is closed' },
  unavailable: TOO_MANY_WAIT,
} as const satisfies Readonly<Record<string, HttpRefusal>>;

function tooLargeFor(maxBytes: number): HttpRefusal {
  const { message } = tooLarge(maxBytes);
  return { statusCode: 413, error: 'payload_too_large', message: `${message}, with the headers that are kept` };
}

function badRequest(message: string): HttpRefusal {
  return { statusCode: 400, error: 'bad_request', message };
}

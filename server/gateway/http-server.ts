// Owns the making of the Fastify application: bounds on requests, the shape of its errors, its access log.
// Fastify's own logging is off: it prints URLs with their tokens. Routes are registered by gateway.ts.

import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import swagger from '@fastify/swagger';
import websocket from '@fastify/websocket';
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import type { Logger } from '../lib/logger.ts';
import type { GatewaySettings } from './gateway-settings.ts';
import { refuseUnholdablePaths } from './holdable-input.ts';
import { type HttpRefusal, refusalOfError, sendRefusal } from './http-refusal.ts';
import { OPENAPI } from './openapi-document.ts';
import { readQueries } from './query-reading.ts';
import { redactUrl } from './redact-url.ts';
import { validationError } from './validation-message.ts';

export type HttpServerOptions = {
  readonly settings: Pick<GatewaySettings, 'http' | 'bounds'>;
  /** Whether what a handler rejected with is a failure of the database that passes. */
  readonly isPassing: (failure: unknown) => boolean;
  readonly log: Logger;
};

const MAX_HEADER_BYTES = 32 * 1024;

/** An application without routes. Nothing listens yet. */
export function createHttpServer({ settings, isPassing, log }: HttpServerOptions): FastifyInstance {
  const { http, bounds } = settings;
  const app = fastify({
    logger: false,
    trustProxy: http.trustProxy.length > 0 ? [...http.trustProxy] : false,
    bodyLimit: http.maxBodyBytes,
    requestTimeout: bounds.requestTimeoutMs,
    http: {
      headersTimeout: bounds.headersTimeoutMs,
      maxHeaderSize: MAX_HEADER_BYTES,
      shouldUpgradeCallback: wantsWebSocket,
    },
    // What is unknown or of another type is refused, never dropped or bent into shape.
    ajv: { customOptions: { removeAdditional: false, coerceTypes: false } },
    schemaErrorFormatter: validationError,
    routerOptions: { maxParamLength: 300 },
    clientErrorHandler: answerBrokenRequest,
    // No hook runs for these, so the headers are set here.
    frameworkErrors: (error, _request, reply) =>
      void sendRefusal((reply as unknown as FastifyReply).headers(SAFE_HEADERS), refusalOfError(error)),
  });
  app.removeContentTypeParser('text/plain');
  app.setErrorHandler((error: Parameters<typeof refusalOfError>[0], request, reply) => {
    if (error.statusCode === undefined && isPassing(error)) {
      log.warn({ reason: error.message, ...describe(request) }, 'request could not be answered');
      return sendRefusal(reply, DATABASE_AWAY);
    }
    const refusal = refusalOfError(error);
    if (refusal.statusCode === 500) log.error({ err: error, ...describe(request) }, 'request failed');
    return sendRefusal(reply, refusal);
  });
  app.setNotFoundHandler((_request, reply) => sendRefusal(reply, NOT_FOUND));
  app.addHook('preValidation', refuseForeignUpgrade);
  refuseUnholdablePaths(app);
  readQueries(app);
  app.addHook('onSend', async (_request, reply) => void reply.headers(SAFE_HEADERS));
  app.addHook('onResponse', async (request, reply) => logRequest(request, reply, log));
  app.register(websocket, {
    options: { perMessageDeflate: false, maxPayload: bounds.payloadBytes, clientTracking: true },
    // ws has sent the close frame that fits the fault; the session's own end does the rest.
    errorHandler: (error) => log.debug({ err: error.message }, 'socket broke the protocol'),
    preClose: function (this: FastifyInstance, done) {
      for (const client of this.websocketServer.clients) client.terminate();
      this.websocketServer.close(() => done());
    },
  });
  app.register(swagger, { openapi: OPENAPI });
  return app;
}

export const NOT_FOUND: HttpRefusal = { statusCode: 404, error: 'not_found', message: 'No such route' };
const DATABASE_AWAY: HttpRefusal = {
  statusCode: 503,
  error: 'unavailable',
  message: 'The database cannot be asked at the moment',
};
const SAFE_HEADERS = { 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' };

// Other upgrades, `h2c` of a curious client for one, are ignored, as HTTP allows (RFC 9110, section 7.8).
function wantsWebSocket({ headers }: IncomingMessage): boolean {
  return headers.upgrade?.toLowerCase() === 'websocket';
}

const SOCKET_PATHS: ReadonlySet<string | undefined> = new Set(['/realtime', '/']);

// An upgrade at any other path would be accepted first and closed after.
async function refuseForeignUpgrade(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply | undefined> {
  const isForeign = request.ws && !SOCKET_PATHS.has(request.routeOptions.url);
  return isForeign ? sendRefusal(reply, NOT_FOUND) : undefined;
}

function answerBrokenRequest(error: Error & { code?: string }, socket: Socket): void {
  if (error.code === 'ECONNRESET' || socket.destroyed || !socket.writable) return void socket.destroy();
  const isTooLarge = error.code === 'HPE_HEADER_OVERFLOW';
  const [statusCode, status, code] = isTooLarge
    ? [431, 'Request Header Fields Too Large', 'headers_too_large']
    : [400, 'Bad Request', 'bad_request'];
  const body = JSON.stringify({ error: code, message: 'The request cannot be read', statusCode });
  socket.end(
    `HTTP/1.1 ${statusCode} ${status}\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\nconnection: close\r\n\r\n${body}`,
  );
}

function describe(request: FastifyRequest): { method: string; url: string; address: string } {
  return { method: request.method, url: redactUrl(request.url), address: request.ip };
}

const PROBES: ReadonlySet<string | undefined> = new Set(['/livez', '/readyz', '/metrics']);

function logRequest(request: FastifyRequest, reply: FastifyReply, log: Logger): void {
  const fields = { ...describe(request), status: reply.statusCode, ms: Math.round(reply.elapsedTime) };
  if (PROBES.has(request.routeOptions.url)) log.debug(fields, 'request');
  else log.info(fields, 'request');
}

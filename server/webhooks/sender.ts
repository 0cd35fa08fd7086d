// Owns one request to a receiver: it is sent once, follows no redirect, takes no longer than it may, and no more of the
// answer is read than is kept. Everything that can happen is a result; nothing is thrown.

import { Agent, type Dispatcher, request as send, errors as undiciErrors } from 'undici';
import { pause } from '../lib/backoff.ts';
import type { AddressGuard } from './address-guard.ts';
import type { AttemptResult } from './attempt-result.ts';
import type { DueRequest } from './due-request.ts';
import { guardedConnector, RefusedAddressError, type ResolveAll } from './guarded-connector.ts';
import { requestHeaders } from './request-headers.ts';
import { retryAfterMs } from './retry-delay.ts';

export type SenderOptions = {
  readonly guard: AddressGuard;
  readonly timeoutMs: number;
  readonly userAgent: string;
  readonly resolve?: ResolveAll | undefined;
};

const HEAD_BYTES = 1_024;
/** So much is read so that the connection can be used again; beyond it is closed. */
const READ_BYTES = 64 * 1024;
/** The verdict stands with the status; an answer that trickles on is not waited for. */
const READ_WITHIN_MS = 2_000;
const MAX_ERROR_LENGTH = 500;

export class Sender {
  readonly #options: SenderOptions;
  readonly #agent: Agent;

  constructor(options: SenderOptions) {
    this.#options = options;
    const { guard, timeoutMs, resolve } = options;
    this.#agent = new Agent({
      connect: guardedConnector({ guard, connectTimeoutMs: timeoutMs, resolve }),
      pipelining: 1,
      headersTimeout: timeoutMs,
      bodyTimeout: READ_WITHIN_MS,
    });
  }

  /** Makes one attempt; ends early, as released, when `signal` is aborted. */
  async send(request: DueRequest, signal: AbortSignal): Promise<AttemptResult> {
    const startedAt = performance.now();
    const verdict = this.#options.guard.judgeUrl(request.url);
    const result = verdict.ok
      ? await this.#attempt(request, verdict.url, signal)
      : failure('refused', `the URL ${verdict.reason}`);
    return { ...result, durationMs: Math.round(performance.now() - startedAt) };
  }

  /** Closes all connections. */
  close(): Promise<void> {
    return this.#agent.destroy();
  }

  async #attempt(request: DueRequest, url: URL, signal: AbortSignal): Promise<Outcome> {
    const { timeoutMs, userAgent } = this.#options;
    const deadline = new AbortController();
    const timer = setTimeout(() => deadline.abort(), timeoutMs);
    const ending = AbortSignal.any([deadline.signal, signal]);
    try {
      const response = await send(url, {
        dispatcher: this.#agent,
        method: 'POST',
        headers: requestHeaders(request, userAgent, Date.now()),
        body: request.body,
        signal: ending,
      });
      return outcomeOf(response, await readHead(response.body, ending));
    } catch (error) {
      if (signal.aborted) return failure('released', 'the server stopped before there was an answer');
      if (deadline.signal.aborted || isTimeout(error)) return failure('timed_out', `no answer within ${timeoutMs} ms`);
      return failure(isRefusal(error) ? 'refused' : 'unreachable', wordsOf(error));
    } finally {
      clearTimeout(timer);
    }
  }
}

type Outcome = Omit<AttemptResult, 'durationMs'>;

function failure(kind: AttemptResult['kind'], error: string): Outcome & { durationMs: number } {
  return { kind, status: null, error, responseHead: null, durationMs: 0, retryAfterMs: undefined };
}

function outcomeOf({ statusCode: status, headers }: Dispatcher.ResponseData, responseHead: string): Outcome {
  const retryAfter = headers['retry-after'];
  const asked = retryAfterMs(Array.isArray(retryAfter) ? retryAfter[0] : retryAfter, Date.now());
  const answer = { status, responseHead, retryAfterMs: asked };
  if (status >= 200 && status < 300) return { ...answer, kind: 'delivered', error: null };
  if (status === 410) return { ...answer, kind: 'gone', error: 'answered 410 Gone' };
  const isRedirect = status >= 300 && status < 400;
  return { ...answer, kind: 'failed', error: `answered ${status}${isRedirect ? ': redirects are not followed' : ''}` };
}

// Whatever happens to the rest of the answer, its status was seen.
async function readHead(body: Dispatcher.ResponseData['body'], ending: AbortSignal): Promise<string> {
  const parts: Buffer[] = [];
  let bytes = 0;
  const done = new AbortController();
  const late = pause(READ_WITHIN_MS, AbortSignal.any([ending, done.signal])).then(() => {
    if (!done.signal.aborted) body.destroy();
  });
  try {
    for await (const part of body as AsyncIterable<Buffer>) {
      if (bytes < HEAD_BYTES) parts.push(part.subarray(0, HEAD_BYTES - bytes));
      bytes += part.length;
      if (bytes > READ_BYTES) break;
    }
  } catch {
    // What came until then is kept.
  }
  done.abort();
  await late;
  // Postgres holds no NUL in texts; a character that was cut becomes a replacement.
  return Buffer.concat(parts).toString('utf8').replaceAll('\0', '\ufffd');
}

function isTimeout(error: unknown): boolean {
  const kinds = [undiciErrors.ConnectTimeoutError, undiciErrors.HeadersTimeoutError, undiciErrors.BodyTimeoutError];
  return kinds.some((kind) => error instanceof kind);
}

function isRefusal(error: unknown): boolean {
  const causes = error instanceof AggregateError ? error.errors : [error, (error as Error | undefined)?.cause];
  return causes.some((cause) => cause instanceof RefusedAddressError);
}

function wordsOf(error: unknown): string {
  const { message, code } = error as NodeJS.ErrnoException;
  const words = message === '' || message === undefined ? (code ?? 'the connection failed') : message;
  return words.replaceAll('\0', '').slice(0, MAX_ERROR_LENGTH);
}

// Owns the property that every operation of an OpenAPI document has: whatever comes, the answer is none of 5xx, and an
// error has its shape and a stable code; what is wrong is refused with 4xx. Faults are returned with the smallest
// request that shows them.

import { Agent, request as httpRequest, type IncomingHttpHeaders } from 'node:http';
import fc from 'fast-check';
import { type Operation, readOperations } from './openapi-operation.ts';
import { badRequest, type FuzzRequest, oddRequest, type Seeds, validRequest } from './openapi-requests.ts';

export type FuzzOptions = {
  /** `http://127.0.0.1:4000` */
  readonly baseUrl: string;
  /** Null for none. */
  readonly token: string | null;
  readonly kind: 'valid' | 'bad' | 'odd';
  readonly runsPerOperation: number;
  readonly seed: number;
  readonly seeds: Seeds;
  /** Operations that are left out, by name. */
  readonly without?: readonly string[] | undefined;
};

export type Fuzzed = {
  readonly requests: number;
  /** Operations that were asked at all. */
  readonly operations: readonly string[];
  readonly faults: readonly string[];
  /** How often each status came. */
  readonly statuses: ReadonlyMap<number, number>;
};

type Answer = { readonly status: number; readonly headers: IncomingHttpHeaders; readonly text: string };

const CODES = new Set([
  ...['bad_request', 'bad_name', 'wildcard_not_supported', 'reserved_name', 'unknown_role', 'bad_filter'],
  ...[
    'auth_required',
    'bad_token',
    'token_expired',
    'forbidden',
    'publish_denied',
    'not_found',
    'conflict',
    'id_reused',
  ],
  ...['payload_too_large', 'uri_too_long', 'headers_too_large', 'unsupported_media_type', 'upgrade_required'],
  ...['quota_exceeded', 'bad_signature', 'rate_limited', 'unavailable', 'internal', 'timeout', 'method_not_allowed'],
]);
const KINDS = { valid: validRequest, bad: badRequest, odd: oddRequest };

/** Asks every operation of the server's document. */
export async function fuzz(options: FuzzOptions): Promise<Fuzzed> {
  const { baseUrl, kind, seeds, without = [] } = options;
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const statuses = new Map<number, number>();
  const faults: string[] = [];
  const asked: string[] = [];
  try {
    for (const operation of await readOperations(baseUrl)) {
      const requests = KINDS[kind](operation, seeds);
      if (requests === undefined || without.includes(operation.name)) continue;
      asked.push(operation.name);
      faults.push(...(await fuzzOperation(operation, requests, { ...options, agent, statuses })));
    }
  } finally {
    agent.destroy();
  }
  const requests = [...statuses.values()].reduce((sum, count) => sum + count, 0);
  return { requests, operations: asked, faults, statuses };
}

type Running = FuzzOptions & { readonly agent: Agent; readonly statuses: Map<number, number> };

async function fuzzOperation(
  operation: Operation,
  requests: fc.Arbitrary<FuzzRequest>,
  { runsPerOperation, seed, kind, statuses, ...running }: Running,
): Promise<readonly string[]> {
  const property = fc.asyncProperty(requests, async (request) => {
    const answer = await send(request, running);
    statuses.set(answer.status, (statuses.get(answer.status) ?? 0) + 1);
    const fault = findFault(operation, answer, kind);
    if (fault !== undefined) throw new Error(`${fault}: ${answer.text.slice(0, 300)}`);
  });
  const outcome = await fc.check(property, { numRuns: runsPerOperation, seed, interruptAfterTimeLimit: 60_000 });
  if (!outcome.failed) return [];
  const shown = JSON.stringify(outcome.counterexample).slice(0, 1_000);
  const reason = outcome.errorInstance instanceof Error ? outcome.errorInstance.message : 'failed';
  return [`${operation.name} (seed ${seed}): ${reason} for ${shown}`];
}

/** What is wrong with an answer; undefined if nothing is. */
export function findFault(
  { statuses }: Operation,
  { status, text }: Answer,
  kind: FuzzOptions['kind'],
): string | undefined {
  if (status >= 500) return `answered ${status}`;
  if (kind === 'bad' && status < 400) return `took what it should refuse (${status})`;
  if (status < 400) return undefined;
  // What no route answers for is no business of its own description.
  if (status !== 404 && status !== 414 && !statuses.has(status)) return `the document does not name ${status}`;
  const { error, message, statusCode } = parsed(text);
  if (statusCode !== status) return 'statusCode is not the status';
  if (typeof error !== 'string' || !CODES.has(error)) return `${error} is no stable code`;
  return typeof message === 'string' && message !== '' ? undefined : 'there is no message';
}

function parsed(text: string): Readonly<Record<string, unknown>> {
  try {
    return JSON.parse(text);
  } catch {
    return {};
  }
}

// The client of Node itself, because fetch would mend paths before they are sent.
function send(
  { method, path, body, contentType }: FuzzRequest,
  { baseUrl, token, agent }: Pick<Running, 'baseUrl' | 'token' | 'agent'>,
): Promise<Answer> {
  const { hostname, port } = new URL(baseUrl);
  const headers = {
    ...(token === null ? {} : { authorization: `Bearer ${token}` }),
    ...(contentType === undefined ? {} : { 'content-type': contentType }),
    ...(body === undefined ? {} : { 'content-length': Buffer.byteLength(body) }),
  };
  return new Promise((resolve, reject) => {
    const request = httpRequest({ hostname, port, path, method, agent, headers }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk) => {
        text += chunk;
      });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, text }));
      response.on('error', reject);
    });
    request.on('error', reject);
    request.end(body);
  });
}

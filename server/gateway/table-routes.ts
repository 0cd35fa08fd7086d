// Owns `/api/realtime/tables`: which tables are watched, what of them each role gets, and the beginning and end of
// watching, for admins.

import type { FastifyInstance } from 'fastify';
import { Type } from 'typebox';
import type { ChannelRefusal } from '../channels/channel.ts';
import type { WatchOptions } from '../channels/table-watching.ts';
import type { WatchedTableReport } from '../policies/watched-table-report.ts';
import { canonicalTable, parseChannelName } from '../protocol/channel-name.ts';
import { ADMIN_ERRORS, BODY_ERRORS, errorResponses } from './error-responses.ts';
import { type HttpRefusal, sendRefusal } from './http-refusal.ts';
import { TableParams, WatchedTableSchema, WatchSchema } from './table-schemas.ts';

export type TableRoutesDeps = {
  /** What the channels room does; relations in their canonical spelling. */
  readonly watching: {
    watch(relation: string, options: WatchOptions): Promise<ChannelRefusal | undefined>;
    unwatch(relation: string): Promise<boolean>;
  };
  readonly reports: { read(relation?: string): Promise<readonly WatchedTableReport[]> };
  /** ROWCAST_ROLES. */
  readonly roles: readonly string[];
};

type OfTable = { readonly Params: { readonly table: string } };

const PATH = '/api/realtime/tables';
const about = { tags: ['tables'], security: [{ bearer: [] }] };
const NOT_WATCHED: HttpRefusal = { statusCode: 404, error: 'not_found', message: 'The table is not watched' };

/** `scope` lets admins in alone. */
export function registerTableRoutes(scope: FastifyInstance, deps: TableRoutesDeps): void {
  const list = {
    ...about,
    summary: 'List watched tables',
    description: 'How the changes of each are published, and what of them each role gets.',
    response: { 200: Type.Array(WatchedTableSchema), ...ADMIN_ERRORS },
  };
  scope.get(PATH, { schema: list }, () => deps.reports.read());

  const watch = {
    ...about,
    summary: 'Watch a table',
    description: 'Makes the channel `db:<table>`. Again it changes only what differs. Without a body: no roles.',
    params: TableParams,
    body: WatchSchema,
    response: { 200: WatchedTableSchema, ...ADMIN_ERRORS, ...BODY_ERRORS, ...errorResponses(404, 409) },
  };
  const preValidation = async (request: { body: unknown }): Promise<void> => {
    if (request.body === undefined) request.body = {};
  };
  scope.post<OfTable & { Body: WatchOptions }>(
    `${PATH}/:table/watch`,
    { schema: watch, preValidation },
    async (request, reply) => {
      const answer = await watchTable(request.params.table, request.body, deps);
      return answer.ok ? answer.report : sendRefusal(reply, answer.refusal);
    },
  );

  const unwatch = {
    ...about,
    summary: 'Stop watching a table',
    description: 'Deletes the channel and the policy of its watching, and ends its subscriptions. History stays.',
    params: TableParams,
    response: { 200: Type.Object({ message: Type.String() }), ...ADMIN_ERRORS, ...BODY_ERRORS, ...errorResponses(404) },
  };
  scope.delete<OfTable>(`${PATH}/:table/watch`, { schema: unwatch }, async (request, reply) => {
    const read = readRelation(request.params.table);
    if (!read.ok) return sendRefusal(reply, read.refusal);
    const wasWatched = await deps.watching.unwatch(read.relation);
    return wasWatched ? { message: 'Table is no longer watched' } : sendRefusal(reply, NOT_WATCHED);
  });
}

type Refused = { readonly ok: false; readonly refusal: HttpRefusal };

async function watchTable(
  table: string,
  options: WatchOptions,
  { watching, reports, roles }: TableRoutesDeps,
): Promise<Refused | { readonly ok: true; readonly report: WatchedTableReport }> {
  const read = readRelation(table);
  if (!read.ok) return read;
  const stranger = options.roles?.find((role) => !roles.includes(role));
  if (stranger !== undefined) return refused(400, 'bad_request', `roles: ${stranger} is none of ROWCAST_ROLES`);
  const refusal = await watching.watch(read.relation, options);
  if (refusal !== undefined) return refused(refusal.code === 'not_found' ? 404 : 409, refusal.code, refusal.message);
  const [report] = await reports.read(read.relation);
  return report === undefined ? { ok: false, refusal: NOT_WATCHED } : { ok: true, report };
}

function readRelation(table: string): Refused | { readonly ok: true; readonly relation: string } {
  const parsed = parseChannelName(`db:${table}`);
  if (!parsed.ok) return refused(400, parsed.refusal.code, parsed.refusal.message);
  if (parsed.channel.kind !== 'table') return refused(400, 'bad_name', 'a table is table or schema.table');
  return { ok: true, relation: canonicalTable(parsed.channel.table) };
}

function refused(statusCode: number, error: string, message: string): Refused {
  return { ok: false, refusal: { statusCode, error, message } };
}

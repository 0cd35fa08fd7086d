// The composition root, its judge of webhook deliveries: row changes for endpoints that have a role.

import type { Parts } from './app-parts.ts';
import { buildReplayJudge, buildReplaySource } from './app-replays.ts';
import type { Claims, Identity } from './auth/identity.ts';
import { makeIdentity } from './auth/make-identity.ts';
import { TypeResolver } from './changes/type-resolver.ts';
import { readTypes } from './db/type-rows.ts';
import { Viewers } from './delivery/viewers.ts';
import { WebhookJudge } from './delivery/webhook-judge.ts';
import { TableRulesStore } from './policies/table-rules-store.ts';

/** Builds the loop that judges; it runs under supervision, and works while this server leads. */
export function buildWebhookJudge(parts: Parts): WebhookJudge {
  const { options, database, replaying, pipeline, enqueued } = parts;
  const { config, log } = options;
  const types = new TypeResolver((oids) => readTypes(database.pool, oids));
  const judge = new WebhookJudge({
    pool: replaying.pool,
    source: buildReplaySource(parts, new TableRulesStore(replaying.pool, config.auth.roles), types),
    frames: {
      judge: buildReplayJudge(parts),
      viewers: new Viewers(),
      maxPayloadBytes: config.socket.maxMessageBytes,
    },
    identityOf: (role, claims) => identityOf(parts, role, claims),
    isLeading: () => pipeline.epoch !== null,
    onPending: () => enqueued.tell(),
    log,
  });
  enqueued.listen(() => judge.wake());
  return judge;
}

function identityOf({ options }: Parts, role: string | null, claims: Claims): Identity | undefined {
  const { roles, adminRoles } = options.config.auth;
  const isAdmin = role === null || adminRoles.includes(role);
  if (!isAdmin && !roles.includes(role)) return undefined;
  return makeIdentity({ role: role ?? '', isAdmin, claims });
}

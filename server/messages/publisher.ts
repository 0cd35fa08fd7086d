// Owns publishing for sockets and REST: one statement under the publisher's role and claims, in which its INSERT
// policies decide, for one message or a list, all of them or none. What is written comes back through the
// WAL; what is allowed and not persisted is handed on from here, once the statement has succeeded.

import type { Pool } from 'pg';
import type { Identity } from '../auth/identity.ts';
import { refusableQuery } from '../db/refusable-query.ts';
import type { DatabaseFailure } from '../db/sqlstate.ts';
import type { Logger } from '../lib/logger.ts';
import { findPayloadFault, type PayloadFault } from './payload-fault.ts';
import { denied, ID_REFUSED, readPublishFailure } from './publish-failure.ts';
import type { FanOut, Published, PublishRequest, PublishResult } from './publish-request.ts';

export type PublisherOptions = {
  /** Of the login that policies run on. */
  readonly pool: Pool;
  /** Of the server's own login, for admins. */
  readonly adminPool: Pool;
  /** The roles that may be taken (ROWCAST_ROLES). */
  readonly roles: readonly string[];
  readonly maxPayloadBytes: number;
  readonly fanOut: FanOut;
  /** The time now, RFC 3339 in UTC. */
  readonly timestamp: () => string;
  /** Milliseconds of a monotonic clock. */
  readonly now: () => number;
  readonly log: Logger;
};

type Row = { message_id: string; is_ephemeral: boolean };

const CALL = {
  name: 'rowcast-publish',
  text: `select message_id, is_ephemeral
    from realtime.publish_as($1::text, $2::text, $3::text, $4::uuid[], $5::text[], $6::text[], $7::text[])`,
};
/** What policies raise is logged so often at most: publishers must not fill the log. */
const TELL_EVERY_MS = 60_000;

export class Publisher {
  readonly #options: PublisherOptions;
  readonly #roles: ReadonlySet<string>;
  #toldAt = Number.NEGATIVE_INFINITY;

  constructor(options: PublisherOptions) {
    this.#options = options;
    this.#roles = new Set(options.roles);
  }

  /**
   * Publishes all of `requests`, or none. Expected refusals are values, and say alike that a channel does not exist
   * and that it is forbidden. Rejects with what the database raised and nobody can mend but the operator.
   */
  async publish(
    identity: Identity,
    connectionId: string | null,
    requests: readonly PublishRequest[],
  ): Promise<PublishResult> {
    const refused = this.#findFault(identity, requests);
    if (refused !== undefined) return refused;
    try {
      const published = await this.#write(identity, connectionId, requests);
      this.#handOn(identity, connectionId, requests, published);
      return { ok: true, published };
    } catch (error) {
      return this.#refuse(error, identity, requests.length);
    }
  }

  /** What is wrong with a message whatever its channel: said before anything is asked of the database. */
  #findFault(identity: Identity, requests: readonly PublishRequest[]): PublishResult | undefined {
    const mayChoose = identity.sub !== null && identity.role !== 'anon';
    for (const [index, { id, payload }] of requests.entries()) {
      if (id !== undefined && !mayChoose) return { ok: false, refusal: ID_REFUSED, index };
      const fault = findPayloadFault(payload, this.#options.maxPayloadBytes);
      if (fault !== undefined) return { ok: false, refusal: refusalOf(fault), index };
    }
    // Such a role comes from no token; if it did, it would be denied like one that may do nothing.
    if (identity.isAdmin || this.#roles.has(identity.role)) return undefined;
    return { ok: false, refusal: denied(), index: 0 };
  }

  async #write(
    { isAdmin, role, claims }: Identity,
    connectionId: string | null,
    requests: readonly PublishRequest[],
  ): Promise<readonly Published[]> {
    const pool = isAdmin ? this.#options.adminPool : this.#options.pool;
    const { rows } = await refusableQuery<Row>(pool, {
      ...CALL,
      values: [
        isAdmin ? null : role,
        JSON.stringify(claims),
        connectionId,
        requests.map(({ id }) => id ?? null),
        requests.map(({ channel }) => channel),
        requests.map(({ event }) => event),
        requests.map(({ payload }) => payload),
      ],
    });
    if (rows.length !== requests.length) throw new Error('bug: not every message was answered');
    return rows.map(({ message_id, is_ephemeral }) => ({ messageId: message_id, isEphemeral: is_ephemeral }));
  }

  #handOn(
    { sub }: Identity,
    connectionId: string | null,
    requests: readonly PublishRequest[],
    published: readonly Published[],
  ): void {
    const timestamp = this.#options.timestamp();
    for (const [index, { channel, event, payload }] of requests.entries()) {
      const { messageId, isEphemeral } = published[index] as Published;
      if (!isEphemeral) continue;
      this.#options.fanOut({ channel, event, payload, messageId, senderId: sub, connectionId, timestamp });
    }
  }

  #refuse(error: unknown, { isAdmin, role }: Identity, count: number): PublishResult {
    const failure = readPublishFailure(error, { isAdmin, count });
    if (failure === undefined) throw error;
    if (failure.raised !== undefined) this.#tell(role, failure.raised);
    return { ok: false, refusal: failure.refusal, index: failure.index };
  }

  #tell(role: string, { sqlstate, message }: DatabaseFailure): void {
    const at = this.#options.now();
    if (at - this.#toldAt < TELL_EVERY_MS) return;
    this.#toldAt = at;
    this.#options.log.warn({ role, sqlstate, reason: message }, 'a policy or trigger raised, and so denied a message');
  }
}

function refusalOf({ kind, message }: PayloadFault): Extract<PublishResult, { ok: false }>['refusal'] {
  return { code: kind === 'too_large' ? 'payload_too_large' : 'bad_frame', message };
}

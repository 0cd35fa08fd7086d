// Owns the taking of incoming webhooks: which source a slug means, and one statement that counts and publishes what
// came, both or neither. How many may wait for the database is bounded; the connections are not those of others, so
// that a flood of one sender keeps nobody else from the database.

import type { Pool } from 'pg';
import { refusableQuery } from '../db/refusable-query.ts';
import { classifyDatabaseError } from '../db/sqlstate.ts';

export type IntakeSource = {
  readonly id: string;
  /** Null: its signatures are not checked. */
  readonly verificationSecret: string | null;
  /** The limit of this month was reached when it was looked up. */
  readonly isUsedUp: boolean;
};

export type IntakeLookup =
  | { readonly kind: 'found'; readonly source: IntakeSource }
  | { readonly kind: 'unknown' }
  | { readonly kind: 'unavailable' };

export type ReceivedWebhook = {
  readonly sourceId: string;
  /** RFC 3339, UTC. */
  readonly receivedAt: string;
  readonly headers: Readonly<Record<string, string>>;
  /** JSON, as it was sent. */
  readonly payload: string;
};

export type Intake =
  | { readonly kind: 'accepted'; readonly messageId: string }
  /** Nothing was counted. */
  | { readonly kind: 'unknown' | 'used_up' | 'too_large' | 'unholdable' | 'closed' | 'unavailable' };

type Found = { id: string; verification_secret: string | null; is_used_up: boolean };
type Accepted = { outcome: 'accepted' | 'unknown' | 'used_up' | 'closed'; message_id: string | null };

const SLUG = /^[A-Za-z0-9_-]{16,100}$/;
const MAX_LOOKUPS = 1_000;
/** Each holds its payload. */
const MAX_WAITING = 256;

const FIND = {
  name: 'rowcast-source-of-slug',
  text: `
    select s.id, s.verification_secret,
      coalesce(coalesce(u.accepted, 0) >= realtime.source_limit(s.plan, s.monthly_limit), false) as is_used_up
    from realtime.sources as s left join realtime.source_usage as u
      on u.source_id = s.id and u.month = date_trunc('month', now() at time zone 'UTC')::date
    where s.slug = $1 and s.enabled`,
};
const ACCEPT = {
  name: 'rowcast-accept-webhook',
  text: 'select outcome, message_id from realtime.accept_webhook($1, $2, $3::jsonb, $4::jsonb)',
};

export class SourceIntake {
  readonly #pool: Pool;
  #lookups = 0;
  #waiting = 0;

  constructor(pool: Pool) {
    this.#pool = pool;
  }

  /** The source of a slug, if it takes webhooks. Rejects when the database cannot be asked. */
  async find(slug: string): Promise<IntakeLookup> {
    if (!SLUG.test(slug)) return { kind: 'unknown' };
    if (this.#lookups >= MAX_LOOKUPS) return { kind: 'unavailable' };
    this.#lookups += 1;
    try {
      const { rows } = await this.#pool.query<Found>({ ...FIND, values: [slug] });
      const [row] = rows;
      return row === undefined ? { kind: 'unknown' } : { kind: 'found', source: sourceOf(row) };
    } finally {
      this.#lookups -= 1;
    }
  }

  /** Resolves once it is committed. Rejects when the database cannot be asked: then it may have been taken or not. */
  async accept(webhook: ReceivedWebhook): Promise<Intake> {
    if (this.#waiting >= MAX_WAITING) return { kind: 'unavailable' };
    this.#waiting += 1;
    try {
      return await this.#write(webhook);
    } catch (error) {
      const kind = refusalOf(error);
      if (kind === undefined) throw error;
      return { kind };
    } finally {
      this.#waiting -= 1;
    }
  }

  async #write({ sourceId, receivedAt, headers, payload }: ReceivedWebhook): Promise<Intake> {
    const values = [sourceId, receivedAt, JSON.stringify(headers), payload];
    const { rows } = await refusableQuery<Accepted>(this.#pool, { ...ACCEPT, values });
    const { outcome, message_id } = rows[0] as Accepted;
    if (outcome !== 'accepted') return { kind: outcome };
    return { kind: 'accepted', messageId: message_id as string };
  }
}

function sourceOf({ id, verification_secret, is_used_up }: Found): IntakeSource {
  return { id, verificationSecret: verification_secret, isUsedUp: is_used_up };
}

/** What the database's refusal means; undefined for what is no matter of this webhook. */
function refusalOf(error: unknown): Exclude<Intake['kind'], 'accepted'> | undefined {
  const { kind, message } = classifyDatabaseError(error);
  switch (kind) {
    case 'limit_exceeded':
      return message.startsWith('payload_too_large') ? 'too_large' : 'unholdable';
    case 'data_exception':
      return 'unholdable';
    // Deleted while this one came in.
    case 'foreign_key_violation':
      return 'unknown';
    // A standby, until it is promoted.
    case 'read_only':
      return 'unavailable';
    default:
      return undefined;
  }
}

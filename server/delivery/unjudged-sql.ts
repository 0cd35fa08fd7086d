// Owns the statements of the judge of webhook deliveries: what waits for it, and how it is settled.

export type UnjudgedRow = {
  readonly id: string;
  readonly position: string;
  readonly channel_name: string;
  /** The event as the stream had it. */
  readonly event_name: string;
  readonly endpoint_id: string;
  readonly role: string | null;
  /** JSON. */
  readonly claims: string | null;
  readonly events: readonly string[] | null;
  /** Null where there is no such table any more. */
  readonly table_oid: number | null;
  /** It has waited for so long that what cannot be judged is given up. */
  readonly is_late: boolean;
};

const SLICE_ROWS = 500;

/** In the order of their messages. */
export const UNJUDGED = `
  select d.id::text as id, d.position, d.channel_name, d.event_name, e.id::text as endpoint_id, e.role, e.claims::text as claims, e.events,
    realtime.relation_oid(pg_catalog.substr(d.channel_name, 4)) as table_oid,
    d.created_at < pg_catalog.now() - interval '1 hour' as is_late
  from realtime.webhook_deliveries as d join realtime.webhook_endpoints as e on e.id = d.endpoint_id
  where d.state = 'unjudged' and d.next_attempt_at <= pg_catalog.now()
  order by d.id limit ${SLICE_ROWS}`;

export const SETTLE = 'select realtime.settle_judged($1, $2, $3, $4)';

// Owns what one request to a receiver is made of: a delivery, or the members of a batch, leased by this process.

/** A delivery under lease. `id` and `attempts` are what its end is fenced by. */
export type LeasedMember = {
  readonly id: bigint;
  /** This attempt, counted from one. */
  readonly attempts: number;
  readonly channelName: string;
  readonly eventName: string;
};

export type DueRequest = {
  readonly endpointId: string;
  readonly url: string;
  /** `webhook-id`: the message's, or the batch's. */
  readonly id: string;
  readonly isBatch: boolean;
  readonly members: readonly LeasedMember[];
  readonly body: Buffer;
  /** Those that sign now; two while one is rotated. */
  readonly secrets: readonly string[];
  readonly token: string | null;
};

/** A row of realtime.lease_deliveries. */
export type LeasedRow = {
  readonly id: bigint;
  readonly endpoint_id: string;
  readonly message_id: string;
  readonly channel_name: string;
  readonly event_name: string;
  readonly body: Buffer;
  readonly batch_id: string | null;
  readonly attempts: number;
  readonly url: string;
  readonly token: string | null;
  readonly secrets: string[];
};

const OPEN = Buffer.from('[');
const COMMA = Buffer.from(',');
const CLOSE = Buffer.from(']');

/** One request a single delivery and one a batch; the rows of a batch stand together, in its order. */
export function requestsOf(rows: readonly LeasedRow[]): DueRequest[] {
  const groups: LeasedRow[][] = [];
  for (const row of rows) {
    const last = groups.at(-1);
    if (row.batch_id !== null && last?.[0]?.batch_id === row.batch_id) last.push(row);
    else groups.push([row]);
  }
  return groups.map(requestOf).filter((request) => request !== undefined);
}

function requestOf(rows: readonly LeasedRow[]): DueRequest | undefined {
  const [first] = rows;
  if (first === undefined) return undefined;
  const isBatch = first.batch_id !== null;
  return {
    endpointId: first.endpoint_id,
    url: first.url,
    id: first.batch_id ?? first.message_id,
    isBatch,
    members: rows.map(memberOf),
    body: isBatch ? joined(rows) : first.body,
    secrets: first.secrets,
    token: first.token,
  };
}

function memberOf({ id, attempts, channel_name, event_name }: LeasedRow): LeasedMember {
  return { id, attempts, channelName: channel_name, eventName: event_name };
}

function joined(rows: readonly LeasedRow[]): Buffer {
  const parts = rows.flatMap(({ body }, index) => (index === 0 ? [OPEN, body] : [COMMA, body]));
  return Buffer.concat([...parts, CLOSE]);
}

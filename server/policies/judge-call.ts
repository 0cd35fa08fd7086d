// Owns the one SQL call in which row images are judged, realtime.judge_rows(), on a connection of the policy
// login. What is asked and what an answer means is the caller's; which failures may pass by themselves too.

import { randomUUID } from 'node:crypto';
import type { Pool, PoolClient } from 'pg';

/** One array literal for each image, in order; rows are numbered from 1 within a set. */
export type ImageLiterals = readonly string[];

export type JudgeIdentity = {
  /** A role of the allow-list; null for the policy login itself, which may read nothing. */
  readonly role: string | null;
  /** request.jwt.claims as JSON. */
  readonly claims: string;
  /** What realtime.channel_name() answers; empty for none. */
  readonly channelName: string;
  /** The zone that times without one are read in; absent for the database's own. */
  readonly timeZone?: 'UTC' | undefined;
};

export type JudgeRequest = {
  /** Low 32 bits of the transactions whose rows these are: the snapshot must contain them. */
  readonly xids: readonly number[];
  readonly relids: readonly number[];
  /** Of `relids`, in their order; null where nothing has to hold. */
  readonly fingerprints: readonly string[] | null;
  readonly sets: readonly ImageLiterals[];
  /** `set` is an index into `sets`. */
  readonly statements: readonly { readonly sql: string; readonly set: number }[];
  readonly identities: readonly JudgeIdentity[];
  /** Indexes into `identities` and `statements`. */
  readonly entries: readonly JudgeEntry[];
  /** After this the call answers for what it has judged so far. */
  readonly budgetMs: number;
  /** Told the index of each entry before it is judged, so that one that never ends can be named. */
  readonly onJudging?: ((entry: number) => void) | undefined;
};

export type JudgeEntry = {
  readonly identity: number;
  readonly statement: number;
  /** Raised for every row of a batch lately: tried on a few rows before each row is tried apart. */
  readonly isSuspect: boolean;
};

export type JudgeFailure = {
  readonly entry: number;
  /** From 1; 0 for all rows that are not hits. */
  readonly row: number;
  readonly sqlstate: string;
  readonly message: string;
};

export type JudgeAnswer =
  /** A transaction is not visible yet. */
  | { readonly state: 'invisible' }
  /** The rules of a table have changed. */
  | { readonly state: 'stale' }
  | {
      readonly state: 'ok';
      /** For each entry that was judged, from the first on: rows that are true, or all. */
      readonly hits: readonly (readonly number[] | 'all')[];
      readonly failures: readonly JudgeFailure[];
    };

type Row = { state: JudgeAnswer['state']; hits: string[]; failures: string[] };

const CALL = `
  select state, hits, failures from realtime.judge_rows(
    $1::bigint[], $2::oid[], $3::text[], $4::text[], $5::integer[], $6::text[], $7::integer[],
    $8::text[], $9::text[], $10::text[], $11::text[], $12::integer[], $13::integer[], $14::boolean[], $15::integer, $16::text)`;

export class JudgeCall {
  readonly #pool: Pool;

  constructor(pool: Pool) {
    this.#pool = pool;
  }

  /** Asks once. Rejects with the database's errors: what an entry raised is an answer, all else is a rejection. */
  async ask(request: JudgeRequest): Promise<JudgeAnswer> {
    const client = await this.#pool.connect();
    // Nobody's policy can know it, so none can say that another one is being judged.
    const trace = request.onJudging === undefined ? null : randomUUID();
    const stopListening = listen(client, trace, request);
    let isGood = false;
    try {
      const { rows } = await client.query<Row>(CALL, parameters(request, trace));
      isGood = true;
      return answerOf(rows[0] as Row);
    } finally {
      stopListening();
      // After an error it is not known what a policy's function left in the session.
      client.release(!isGood);
    }
  }
}

function listen(client: PoolClient, trace: string | null, { onJudging, entries }: JudgeRequest): () => void {
  if (trace === null) return () => undefined;
  const onNotice = ({ message = '' }: { message?: string | undefined }): void => {
    const entry = message.startsWith(`${trace} `) ? Number(message.slice(trace.length)) - 1 : -1;
    if (entries[entry] !== undefined) onJudging?.(entry);
  };
  client.on('notice', onNotice);
  return () => client.off('notice', onNotice);
}

function parameters(
  { sets, statements, identities, entries, ...request }: JudgeRequest,
  trace: string | null,
): unknown[] {
  return [
    request.xids,
    request.relids,
    request.fingerprints,
    sets.flat(),
    sets.flatMap((set, index) => set.map(() => index + 1)),
    statements.map(({ sql }) => sql),
    statements.map(({ set }) => set + 1),
    identities.map(({ role }) => role),
    identities.map(({ claims }) => claims),
    identities.map(({ channelName }) => channelName),
    identities.map(({ timeZone }) => timeZone ?? null),
    entries.map(({ identity }) => identity + 1),
    entries.map(({ statement }) => statement + 1),
    entries.map(({ isSuspect }) => isSuspect),
    request.budgetMs,
    trace,
  ];
}

function answerOf({ state, hits, failures }: Row): JudgeAnswer {
  if (state !== 'ok') return { state };
  return { state, hits: hits.map(rowsOf), failures: failures.map(failureOf) };
}

function rowsOf(text: string): readonly number[] | 'all' {
  if (text === '*') return 'all';
  return text === '{}' ? NO_ROWS : text.slice(1, -1).split(',').map(Number);
}

const NO_ROWS: readonly number[] = [];

function failureOf(text: string): JudgeFailure {
  const [entry, row, sqlstate, ...message] = text.split(':');
  return { entry: Number(entry) - 1, row: Number(row), sqlstate: sqlstate as string, message: message.join(':') };
}

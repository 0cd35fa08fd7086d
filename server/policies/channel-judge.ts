// Owns the one SQL call in which identities are asked of realtime.channels, realtime.judge_channels(), on a
// connection of the policy login: may this role with these claims SELECT the deciding row, and any column of
// the table. Asked alike where there is nothing to ask about.

import type { Pool } from 'pg';
import type { Identity } from '../auth/identity.ts';

export type ChannelQuestion = {
  readonly identity: Identity;
  /** The canonical name: what realtime.channel_name() answers. */
  readonly channelName: string;
  /** The deciding row; null where there is none. */
  readonly channelId: string | null;
  /** Null for channels that are no table, and where there is none. */
  readonly tableOid: number | null;
};

export type ChannelVerdict = {
  readonly seesChannel: boolean;
  /** Null where there is no such table, or not any more. */
  readonly readsTable: boolean | null;
  /** What a policy raised, and so denied; null if nothing. Only for admins. */
  readonly failure: { readonly sqlstate: string; readonly message: string } | null;
};

type Row = { sees_channel: boolean; reads_table: boolean | null; failure_state: string | null; failure: string };

const CALL = `
  select sees_channel, reads_table, failure_state, failure
  from realtime.judge_channels($1::text[], $2::text[], $3::text[], $4::uuid[], $5::oid[])
  order by question`;

export class ChannelJudge {
  readonly #pool: Pool;
  readonly #roles: ReadonlySet<string>;

  /** `pool` is of the policy login; `roles` is the allow-list (ROWCAST_ROLES). */
  constructor(pool: Pool, roles: readonly string[]) {
    this.#pool = pool;
    this.#roles = new Set(roles);
  }

  /**
   * Answers in the order of the questions, all in one snapshot. Rejects with the database's errors: what a
   * policy raised is an answer, a timeout (57014) and all that may pass by itself is a rejection.
   */
  async judge(questions: readonly ChannelQuestion[]): Promise<readonly ChannelVerdict[]> {
    const { rows } = await this.#pool.query<Row>(CALL, [
      questions.map(({ identity }) => this.#listed(identity.role)),
      questions.map(({ identity }) => JSON.stringify(identity.claims)),
      questions.map(({ channelName }) => channelName),
      questions.map(({ channelId }) => channelId),
      questions.map(({ tableOid }) => tableOid),
    ]);
    if (rows.length !== questions.length) throw new Error('bug: not every question was answered');
    return rows.map(verdictOf);
  }

  // A role that is not listed cannot come from a token; if it did, it would be denied like one that does not exist.
  #listed(role: string): string | null {
    return this.#roles.has(role) ? role : null;
  }
}

function verdictOf({ sees_channel, reads_table, failure_state, failure }: Row): ChannelVerdict {
  return {
    seesChannel: sees_channel,
    readsTable: reads_table,
    failure: failure_state === null ? null : { sqlstate: failure_state, message: failure },
  };
}

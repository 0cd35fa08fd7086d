// Owns the named places at which a server under torture can be told to kill itself, planted into its source as
// it is loaded (plant.ts). The product knows nothing of them.

import type { Plant } from './plant.ts';

export type FailpointName =
  | 'after_receive'
  | 'mid_transaction'
  | 'after_fan_out'
  | 'before_journal_commit'
  | 'after_journal_commit'
  | 'before_ack'
  | 'after_ack'
  | 'mid_replay'
  | 'mid_snapshot';

/** Told to failpoint-agent.ts in the server; without a name nothing is armed any more. */
export type FailpointOrder = { readonly name?: FailpointName | undefined; readonly nth: number };

export const FAILPOINTS: Readonly<Record<FailpointName, Plant>> = {
  after_receive: behind('after_receive', 'delivery/pipeline.ts', 'const batch = await stream.next(signal);'),
  mid_transaction: {
    file: 'delivery/dispatcher.ts',
    find: 'if (commit !== undefined) this.#commit(commit);',
    replace: `if (commit !== undefined) this.#commit(commit); else ${passing('mid_transaction')}`,
  },
  after_fan_out: before('after_fan_out', 'delivery/dispatcher.ts', 'await queue.room(signal);'),
  before_journal_commit: before('before_journal_commit', 'delivery/journal.ts', `await client.query('commit');`),
  after_journal_commit: behind('after_journal_commit', 'delivery/journal.ts', `await client.query('commit');`),
  before_ack: before('before_ack', 'delivery/journal.ts', 'this.#options.confirm(lsn);'),
  after_ack: behind('after_ack', 'delivery/journal.ts', 'this.#options.confirm(lsn);'),
  mid_replay: before('mid_replay', 'delivery/replay.ts', 'this.#deps.counters.replayed(sent.frames.length);'),
  mid_snapshot: behind('mid_snapshot', 'delivery/snapshot-feed.ts', 'counters.snapshot(chunk.count);'),
};

function before(name: FailpointName, file: string, find: string): Plant {
  return { file, find, replace: `${passing(name)} ${find}` };
}

function behind(name: FailpointName, file: string, find: string): Plant {
  return { file, find, replace: `${find} ${passing(name)}` };
}

// The function is failpoint-agent.ts's.
function passing(name: FailpointName): string {
  return `globalThis.rowcastFailpoint('${name}');`;
}

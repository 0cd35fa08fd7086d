// Owns whether live work is shed: changes still go into history and are confirmed, but are neither judged nor
// sent, so that the WAL which the slot holds back gets less. Whoever stayed connected is told what was left out,
// and gets it from history.

import type { Position } from '../lib/position.ts';
import type { Announcer } from './announcer.ts';
import type { StreamState } from './stream-status.ts';

export type SheddingOptions = {
  readonly state: StreamState;
  readonly announcer: Pick<Announcer, 'gap'>;
  /** Where delivery stands; undefined before the first stream. */
  readonly position: () => Position | undefined;
};

/** What /readyz says about it. */
const REASON = 'nothing is delivered live until history has caught up: the slot holds back too much WAL';

export class Shedding {
  readonly #options: SheddingOptions;
  #from: Position | undefined;

  constructor(options: SheddingOptions) {
    this.#options = options;
  }

  get isOn(): boolean {
    return this.#from !== undefined;
  }

  /** Begins, unless it has begun or nothing was delivered yet. Returns whether it did. */
  begin(): boolean {
    if (this.isOn) return false;
    this.#from = this.#options.position();
    if (this.isOn && this.#options.state.report.status === 'streaming') this.tellState();
    return this.isOn;
  }

  /** Ends, and tells what was left out. Returns whether it had been on. */
  end(): boolean {
    const { state, announcer, position } = this.#options;
    const from = this.#from;
    const to = position();
    if (from === undefined || to === undefined) return false;
    this.#from = undefined;
    announcer.gap('wal_fuse', from, to);
    if (state.report.reason === REASON) this.tellState();
    return true;
  }

  /** Ends because an epoch does: another gap is told. Returns from where on things were left out; undefined if it was off. */
  drop(): Position | undefined {
    const from = this.#from;
    this.#from = undefined;
    return from;
  }

  /** Says that the stream flows, or that it does but nothing is delivered. */
  tellState(): void {
    const { state } = this.#options;
    if (this.isOn) state.set('stalled', REASON);
    else state.set('streaming', null);
  }
}

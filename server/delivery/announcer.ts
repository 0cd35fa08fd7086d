// Owns what everybody is told: that the stream stalls or flows again, and that positions from before no
// longer hold. Ordered behind all that was queued for a connection before.

import type { Hub } from '../hub/hub.ts';
import type { Group } from '../hub/subscription.ts';
import type { Position } from '../lib/position.ts';
import type { Dialect } from '../protocol/dialect.ts';
import { encodeServerFrame, type GapReason, type ServerFrame } from '../protocol/server-frame.ts';
import { type StatusReport, systemFrame } from './stream-status.ts';

export class Announcer {
  readonly #hub: Hub;

  constructor(hub: Hub) {
    this.#hub = hub;
  }

  system(report: StatusReport, lagBytes: number | null): void {
    this.#all(systemFrame(report, lagBytes));
  }

  /** What lies between `from` and `to` may be missing. */
  gap(reason: GapReason, from: Position | null, to: Position): void {
    this.#all({ type: 'gap', reason, from, to });
  }

  /** The members of `group` may have missed rows that could not be judged. Told behind the rows that were. */
  withheld(group: Group, from: Position, to: Position): void {
    this.#gapOf(group, 'not_judged', from, to);
  }

  /** The rows of a partitioned table are others than its changes say. */
  partitionsChanged(channel: string, to: Position): void {
    for (const group of this.#hub.groups(channel)) this.#gapOf(group, 'partition_changed', null, to);
  }

  #gapOf({ spec, members }: Group, reason: GapReason, from: Position | null, to: Position): void {
    const { dialect, channelName: channel, subscriptionId } = spec;
    const bytes = encodeServerFrame({ type: 'gap', channel, subscriptionId, reason, from, to }, dialect);
    for (const { connection } of members) this.#hub.send(connection, bytes);
  }

  // Each dialect is encoded once, when somebody first wants it.
  #all(frame: ServerFrame): void {
    const encoded = new Map<Dialect, Uint8Array>();
    for (const connection of this.#hub.connections()) {
      const { dialect } = connection;
      const bytes = encoded.get(dialect) ?? encodeServerFrame(frame, dialect);
      encoded.set(dialect, bytes);
      this.#hub.send(connection, bytes);
    }
  }
}

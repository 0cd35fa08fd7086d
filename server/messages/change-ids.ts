// Owns the ids of row changes in a cluster, as realtime.message_id() has them: what they are masked with, and the id
// of a position.

import { createHash } from 'node:crypto';
import { must } from '../lib/assert.ts';
import { parsePosition } from '../lib/position.ts';
import { type MessageIdMask, messageIdMask, messageIds } from '../protocol/message-id.ts';

/** What the ids of the cluster with that system identifier are masked with. */
export function changeIdMask(systemIdentifier: string): MessageIdMask {
  return messageIdMask(createHash('sha256').update(`rowcast:${systemIdentifier}`).digest());
}

/** Gives the id of the change at a position. */
export function changeIds(systemIdentifier: string): (position: string) => string {
  const mask = changeIdMask(systemIdentifier);
  return (position) => {
    const { epoch, lsn, index } = must(parsePosition(position), `a position in ${position}`);
    return messageIds(mask, epoch, lsn)(index);
  };
}

// Owns what admins see of the open connections, and their closing by hand. Sockets that have not authenticated yet
// are nobody's, and are not shown.

import { formatInstant } from './instant.ts';
import type { Session } from './session.ts';

export type ConnectionReport = {
  readonly id: string;
  readonly userId: string | null;
  readonly role: string;
  /** As limits are counted: an IPv4 address, or the /64 of an IPv6 one. */
  readonly address: string;
  readonly connectedAt: string;
  readonly subscriptions: number;
  readonly queuedBytes: number;
};

export class OpenConnections {
  readonly #sessions: ReadonlySet<Session>;

  /** `sessions` are in the order of their opening. */
  constructor(sessions: ReadonlySet<Session>) {
    this.#sessions = sessions;
  }

  /** The oldest first; of one user if `userId` is given. */
  list(userId?: string): readonly ConnectionReport[] {
    return this.#authenticated(userId).map(reportOf);
  }

  /** Closes it as revoked; false if there is none. */
  close(id: string): boolean {
    const session = [...this.#sessions].find((open) => open.isOpen && open.id === id);
    session?.close('tokenExpired');
    return session !== undefined;
  }

  /** Closes all of a user's as revoked; returns how many. */
  closeOf(userId: string): number {
    const ofUser = this.#authenticated(userId);
    for (const session of ofUser) session.close('tokenExpired');
    return ofUser.length;
  }

  #authenticated(userId: string | undefined): readonly Session[] {
    return [...this.#sessions].filter(
      ({ state }) =>
        state.kind === 'authenticated' && (userId === undefined || state.connection.identity.sub === userId),
    );
  }
}

function reportOf({ id, address, openedAtMs, connection }: Session): ConnectionReport {
  const { identity, subscriptions, outbox } = connection;
  return {
    id,
    userId: identity.sub,
    role: identity.role,
    address,
    connectedAt: formatInstant(openedAtMs),
    subscriptions: subscriptions.size,
    queuedBytes: outbox.queuedBytes,
  };
}

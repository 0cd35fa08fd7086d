// Owns the question which roles see all rows and columns of a table: plain SELECT and no row security.
// An answer holds for one table version (a new Relation object follows any GRANT or policy change), for the
// transactions that its snapshot contains: a right that a transaction revokes behind its own rows brings no
// Relation before them. And for a short time, because role memberships change without either.

import { fullXid } from '../lib/full-xid.ts';
import type { TableGrants, TableGrantsStore } from './table-grants-store.ts';

/** What identifies one version of a table. */
export type TableVersion = { readonly oid: number };

export type TableAccessOptions = {
  readonly store: TableGrantsStore;
  /** How long an answer holds. */
  readonly maxAgeMs: number;
  /** How long to wait for a commit to become visible before the answer is an error. */
  readonly visibleWithinMs: number;
  readonly now: () => number;
  readonly pause: (ms: number) => Promise<void>;
};

type Known = { readonly roles: ReadonlySet<string>; readonly grants: TableGrants; readonly readAt: number };

const VISIBLE_RETRY_MS = 2;

export class TableAccess {
  readonly #options: TableAccessOptions;
  readonly #known = new WeakMap<TableVersion, Known>();

  constructor(options: TableAccessOptions) {
    this.#options = options;
  }

  /**
   * The roles that see everything of the table, as of a snapshot that contains transaction `xid`.
   * Rejects when the database cannot answer: the caller denies.
   */
  async rolesThatSeeAll(table: TableVersion, xid: number): Promise<ReadonlySet<string>> {
    const known = this.#known.get(table);
    const now = this.#options.now();
    if (known !== undefined && this.#holds(known, xid, now)) return known.roles;
    const grants = await this.#readVisible(table.oid, xid);
    const roles = new Set(grants.roles);
    this.#known.set(table, { roles, grants, readAt: now });
    return roles;
  }

  #holds({ grants, readAt }: Known, xid: number, now: number): boolean {
    return now - readAt < this.#options.maxAgeMs && isVisible(grants, xid);
  }

  // A commit is streamed before it is visible (traps of Postgres, rule 2): an answer read too early could
  // still grant what that transaction revoked.
  async #readVisible(oid: number, xid: number): Promise<TableGrants> {
    const { store, visibleWithinMs, now, pause } = this.#options;
    const deadline = now() + visibleWithinMs;
    for (;;) {
      const grants = await store.read(oid);
      if (isVisible(grants, xid)) return grants;
      if (now() > deadline) throw new Error(`transaction ${xid} did not become visible in ${visibleWithinMs} ms`);
      await pause(VISIBLE_RETRY_MS);
    }
  }
}

/** Whether the snapshot in which `grants` were read contains the effects of `xid`. */
function isVisible({ xmax, inProgress }: TableGrants, xid: number): boolean {
  const full = fullXid(xid, xmax);
  return full < xmax && !inProgress.has(full);
}

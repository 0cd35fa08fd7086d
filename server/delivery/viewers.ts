// Owns of whom the database must be asked on behalf of a group of subscriptions. A group never changes what it
// is, so that is found out once.

import type { Group } from '../hub/subscription.ts';
import type { TableFilter } from '../policies/row-filter.ts';
import type { Viewer } from '../policies/row-verdict.ts';

export class Viewers {
  readonly #known = new WeakMap<Group, Viewer | null>();

  /** Undefined for admins who want every row: they see it. */
  of(group: Group): Viewer | undefined {
    let viewer = this.#known.get(group);
    if (viewer === undefined) {
      viewer = viewerOf(group);
      this.#known.set(group, viewer);
    }
    return viewer ?? undefined;
  }
}

/** The gateway makes the filters of table channels; the hub carries them without looking. */
export function filterOf({ spec }: Group): TableFilter | null {
  return spec.filter as TableFilter | null;
}

function viewerOf(group: Group): Viewer | null {
  const { identity } = group.spec;
  const filter = filterOf(group);
  const whereKey = filter?.whereKey ?? null;
  if (identity.isAdmin && whereKey === null) return null;
  const role = identity.isAdmin ? null : identity.role;
  const classKey = identity.isAdmin ? '' : identity.classKey;
  return { key: JSON.stringify([classKey, whereKey]), role, classKey, claims: identity.claims, filter };
}

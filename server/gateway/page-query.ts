// Owns paging by `limit` and `offset`, where a list is short enough to be counted.

import { Type } from 'typebox';

export type Page = { readonly limit: number; readonly offset: number };

/** Both are there once a query is validated: the defaults are filled in. */
export const PAGE_FIELDS = {
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_000, default: 100, description: 'How many at most' })),
  offset: Type.Optional(Type.Integer({ minimum: 0, maximum: 1_000_000, default: 0, description: 'How many to skip' })),
};

export function pageOf<Item>(items: readonly Item[], { limit, offset }: Page): readonly Item[] {
  return items.slice(offset, offset + limit);
}

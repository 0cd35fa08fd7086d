// Owns the statements for one version of a table under one reading of its rules: built once for each role or
// `where` and each shape of images, and kept as long as both hold.

import { imageStatement } from './image-statement.ts';
import { policyCondition, type RowCondition, whereCondition } from './row-condition.ts';
import type { TableFilter } from './row-filter.ts';
import type { ImageSet } from './row-verdict.ts';
import type { TableRules } from './table-rules.ts';

/** A condition, and the statement that asks it of images. */
export type Asked = { readonly condition: RowCondition; readonly sql: string };

/** Filters come and go with their subscribers: past this many the statements are built anew. */
const MAX_KEPT = 5_000;

export class TableConditions {
  readonly rules: TableRules;
  readonly #kept = new Map<string, Asked>();

  constructor(rules: TableRules) {
    this.rules = rules;
  }

  policies(role: string, set: ImageSet): Asked {
    return this.#asked(JSON.stringify(['policies', role, set.presence]), set, (present) =>
      policyCondition(this.rules, this.rules.roles.get(role), present),
    );
  }

  /** `role` is null for admins, who may read every column. */
  where(role: string | null, filter: TableFilter, set: ImageSet): Asked {
    return this.#asked(JSON.stringify(['where', role, filter.whereKey, set.presence]), set, (present) => {
      if (filter.where === null) return { kind: 'yes' };
      const granted = role === null ? null : this.rules.roles.get(role)?.columns;
      if (granted === undefined) return { kind: 'no' };
      return whereCondition(this.rules, granted, filter.where, present);
    });
  }

  #asked(key: string, set: ImageSet, build: (present: ReadonlySet<string>) => RowCondition): Asked {
    let asked = this.#kept.get(key);
    if (asked !== undefined) return asked;
    const condition = build(new Set(set.places.filter((name) => name !== null)));
    asked = { condition, sql: condition.kind === 'ask' ? statement(this.rules, set, condition) : '' };
    if (this.#kept.size >= MAX_KEPT) this.#kept.clear();
    this.#kept.set(key, asked);
    return asked;
  }
}

function statement(rules: TableRules, set: ImageSet, condition: Extract<RowCondition, { kind: 'ask' }>): string {
  const places = set.places.map((name) => (name !== null && condition.needed.has(name) ? name : null));
  return imageStatement(rules, places, condition.sql, condition.computed);
}

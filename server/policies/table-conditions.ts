// Owns the statements for one version of a table under one reading of its rules: built once for each role or
// `where` and each shape of images, and kept as long as both hold.

import { imageStatement } from './image-statement.ts';
import { policyCondition, type RowCondition, whereCondition } from './row-condition.ts';
import type { TableFilter } from './row-filter.ts';
import type { ImageSet, TableVersion } from './row-verdict.ts';
import type { RoleRules, TableRules } from './table-rules.ts';

/** A condition, and the statement that asks it of images. */
export type Asked = { readonly condition: RowCondition; readonly sql: string };

/** Filters come and go with their subscribers: past this many the statements are built anew. */
const MAX_KEPT = 5_000;

export class TableConditions {
  readonly rules: TableRules;
  /**
   * Columns that the stream and the catalogue know by the same name and type; null for all of the stream's.
   * Undefined where they are at odds: then it is not known which column a name means, and nothing can be judged.
   */
  readonly agreed: ReadonlySet<string> | null | undefined;
  readonly #kept = new Map<string, Asked>();

  constructor(rules: TableRules, version: TableVersion) {
    this.rules = rules;
    this.agreed = agreedColumns(rules, version);
  }

  /** What a role may be sent of the columns that are agreed. */
  readable(role: RoleRules): ReadonlySet<string> | null {
    const { agreed } = this;
    if (agreed === null || agreed === undefined) return agreed === null ? role.columns : NONE;
    return role.columns === null ? agreed : new Set([...agreed].filter((name) => role.columns?.has(name)));
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

const NONE: ReadonlySet<string> = new Set();

// A column that was dropped, or made, since the row was written is no contradiction; names in another order, or
// of another type, may be those of other columns by now.
function agreedColumns({ columns }: TableRules, version: TableVersion): ReadonlySet<string> | null | undefined {
  const shared = version.columns.filter(({ name }) => columns.has(name));
  const known = [...columns.values()].filter(({ name }) => shared.some((column) => column.name === name));
  const isAtOdds = shared.some(
    ({ name, typeOid }, place) => known[place]?.name !== name || known[place].typeOid !== typeOid,
  );
  if (isAtOdds) return undefined;
  return shared.length === version.columns.length ? null : new Set(shared.map(({ name }) => name));
}

function statement(rules: TableRules, set: ImageSet, condition: Extract<RowCondition, { kind: 'ask' }>): string {
  const places = set.places.map((name) => (name !== null && condition.needed.has(name) ? name : null));
  return imageStatement(rules, places, condition.sql, condition.computed);
}

// Owns what the oracle says about a breach: what kind it is, and all that a developer needs to see it again.

import type { OracleTable } from './oracle-table.ts';
import type { Subscriber, SubscriberFilter } from './subscriber.ts';

export type ViolationKind =
  /** A message came that its receiver may not see. */
  | 'leak'
  /** A message that its receiver may see did not come. */
  | 'loss'
  /** More or other columns than granted and wanted. */
  | 'columns'
  /** Another event, cause, old row or value than the view rule says. */
  | 'form'
  | 'order'
  | 'copy'
  | 'subscription'
  /** The witness and the WAL disagree. */
  | 'witness';

export type Violation = { readonly kind: ViolationKind; readonly text: string };

export type Scene = {
  readonly subscriber: Subscriber;
  readonly table: OracleTable;
  readonly filter: SubscriberFilter;
  /** When in the case. */
  readonly moment: string;
};

const MAX_TEXT = 160;

export function violation(kind: ViolationKind, scene: Scene, what: string, details: object = {}): Violation {
  const { subscriber, table, filter, moment } = scene;
  const { name, role, claims } = subscriber.member;
  const where = filter.where === undefined ? '' : ` where ${filter.where.sql}`;
  const rest = `${filter.columns ? ` columns ${filter.columns}` : ''}${filter.events ? ` events ${filter.events}` : ''}`;
  const lines = Object.entries(details).map(([label, value]) => `\n    ${label}: ${brief(value)}`);
  return {
    kind,
    text: `${kind} at ${moment}: ${name} (${role}) on ${table.sql}${where}${rest}: ${what}\n    claims: ${JSON.stringify(claims)}${lines.join('')}`,
  };
}

/** How many there are of each kind. */
export function countByKind(violations: readonly Violation[]): Partial<Record<ViolationKind, number>> {
  const kinds = Map.groupBy(violations, ({ kind }) => kind);
  return Object.fromEntries([...kinds].map(([kind, same]) => [kind, same.length]));
}

/** One line of JSON, long texts cut. */
function brief(value: unknown): string {
  if (typeof value === 'string') return value;
  return (
    JSON.stringify(value, (_, part) => {
      if (part instanceof Map) return Object.fromEntries(part);
      if (part instanceof Set) return [...part];
      return typeof part === 'string' && part.length > MAX_TEXT ? `${part.slice(0, 20)}… (${part.length})` : part;
    }) ?? 'none'
  );
}

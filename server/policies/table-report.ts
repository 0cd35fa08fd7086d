// Owns what an admin is told of a table's rules for one viewer, beside the answer whether it may subscribe.

import type { Warning } from '../protocol/server-frame.ts';
import type { TableFacts } from './channel-decision.ts';
import { tableWarnings, type Viewer } from './subscribe-warnings.ts';
import type { TableRules } from './table-rules.ts';

export type TableReport = {
  readonly schema: string;
  readonly table: string;
  readonly watched: boolean;
  /** No transaction is open any more that may have written before it was watched. */
  readonly complete: boolean;
  /** Old images: whole, the key, or none. */
  readonly identity: 'full' | 'key' | 'none';
  /** Why UPDATE and DELETE are not published; null where they are. */
  readonly identityGap: string | null;
  /** Whether row security binds the role. */
  readonly rowSecurity: boolean;
  /** SELECT policies that apply to the role. */
  readonly policies: readonly { readonly policyName: string; readonly permissive: boolean }[];
  /** Columns that the role may SELECT. */
  readonly columns: readonly string[];
  readonly warnings: readonly Warning[];
};

export function tableReport(viewer: Viewer, rules: TableRules, facts: TableFacts): TableReport {
  const ofRole = rules.roles.get(viewer.role);
  const granted = viewer.isAdmin ? null : ofRole === undefined ? new Set<string>() : ofRole.columns;
  return {
    schema: rules.schema,
    table: rules.name,
    watched: facts.isWatched,
    complete: facts.isComplete,
    identity: identityOf(facts),
    identityGap: facts.identityGap,
    rowSecurity: !viewer.isAdmin && (ofRole?.isBound ?? true),
    policies: (ofRole?.policies ?? []).map(({ name, isPermissive }) => ({
      policyName: name,
      permissive: isPermissive,
    })),
    columns: granted === null ? [...rules.columns.keys()] : [...granted],
    warnings: tableWarnings(viewer, rules, facts),
  };
}

function identityOf({ isFull, identityGap }: TableFacts): TableReport['identity'] {
  if (identityGap !== null) return 'none';
  return isFull ? 'full' : 'key';
}

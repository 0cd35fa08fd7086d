// Owns who subscribes to what in the torture, and what is due to each by the oracle's own opinion: which changes
// it may see, as which event, with which content.

import type { Filter } from '../../client/rowcast.js';
import { type OracleChange, PUBLISHED } from './wal-oracle.ts';
import { LOADED_CHANNEL } from './write-load.ts';

type Values = OracleChange['values'];

export type Interest = {
  readonly channel: string;
  readonly filter?: (Filter & { readonly event?: readonly string[] }) | undefined;
  readonly role: 'service_role' | 'authenticated';
  readonly claims: Readonly<Record<string, unknown>>;
  /** Whether a row is in its view, policy and filter together. */
  readonly sees: (values: Values) => boolean;
};

/** A change that must come, in the order of the oracle. */
export type Due = { readonly place: string; readonly event: string; readonly content: string };

const ORGS = 4;
const all = (): boolean => true;

/** The nth interest; all kinds come up in turn. */
export function interestOf(n: number): Interest {
  const org = Math.floor(n / KINDS.length) % ORGS;
  return (KINDS[n % KINDS.length] as (org: number) => Interest)(org);
}

const KINDS: readonly ((org: number) => Interest)[] = [
  () => ({ channel: 'db:load', ...ADMIN, sees: all }),
  (org) => ({ channel: 'db:notes', ...memberOf(org), sees: (row) => row.org === String(org) }),
  () => ({ channel: LOADED_CHANNEL, ...ADMIN, sees: all }),
  (org) => ({ channel: 'db:reports', ...memberOf(org), sees: (row) => Number(row.org) % 2 === org % 2 }),
  (org) => ({ channel: LOADED_CHANNEL, ...memberOf(org), sees: all }),
  () => ({ channel: 'db:load', filter: { event: ['INSERT', 'DELETE'] }, ...ADMIN, sees: all }),
  (org) => ({
    channel: 'db:notes',
    filter: { where: { writer: { lt: 2 } } },
    ...memberOf(org),
    sees: (row) => row.org === String(org) && Number(row.writer) < 2,
  }),
];

/** How many kinds there are; the same kind comes round for another identity. */
export const KIND_COUNT = KINDS.length;

const ADMIN = { role: 'service_role', claims: {} } as const;

function memberOf(org: number): Pick<Interest, 'role' | 'claims'> {
  return { role: 'authenticated', claims: { org } };
}

/** What must come to `interest`, of all that was committed. */
export function dueTo(interest: Interest, committed: readonly OracleChange[]): Due[] {
  const events = interest.filter?.event;
  return committed.flatMap((change) => {
    const due = channelOf(change) === interest.channel ? dueOf(interest, change) : undefined;
    return due === undefined || events?.includes(due.event) === false ? [] : [due];
  });
}

/** Where a change is told. */
export function channelOf({ relation, values }: OracleChange): string {
  return relation === PUBLISHED ? String(values.channel_name) : `db:${relation.replace('public.', '')}`;
}

function dueOf({ sees }: Interest, change: OracleChange): Due | undefined {
  const { place, relation, op, values, old } = change;
  if (relation === PUBLISHED) return { place, event: String(values.event_name), content: String(values.id) };
  const isIn = op !== 'DELETE' && sees(values);
  // Without an old image (tables whose policy reads the row have one) a row was in view before as it is now.
  const wasIn = op === 'DELETE' ? sees(values) : old === null ? isIn : sees(old);
  if (op === 'INSERT') return isIn ? { place, event: 'INSERT', content: rowOf(values) } : undefined;
  if (isIn) return { place, event: wasIn ? 'UPDATE' : 'INSERT', content: rowOf(values) };
  return wasIn ? { place, event: 'DELETE', content: String((old ?? values).id) } : undefined;
}

function rowOf(values: Values): string {
  return Object.values(values).join('|');
}

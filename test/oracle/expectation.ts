// Owns the rule of what a subscriber gets of a change: from whether it sees the old and the new image (shadow-
// judge.ts) to the event, and from the witness's frame to the frame that it must get. Written against the
// specification, without the server's code.

import type { ChangeFrame } from '../app/test-client.ts';
import { keyOf, type OracleTable } from './oracle-table.ts';
import { keyImage, type RoleFacts, type ShadowJudge } from './shadow-judge.ts';
import type { Viewer } from './shadow-table.ts';
import type { SubscriberFilter } from './subscriber.ts';
import type { RowImage, WalChange } from './wal-images.ts';

/** Whether an image is in somebody's view; unknown where the image lacks what would decide. */
export type InView = true | false | 'unknown';

export type Expected = {
  readonly event: WalChange['op'];
  /** It says `"cause": "UPDATE"`. */
  readonly hasCause: boolean;
  /** Both to come and not to come is right. */
  readonly isOptional: boolean;
};

export type Reader = { readonly viewer: Viewer; readonly filter: SubscriberFilter; readonly facts: RoleFacts };

export type Judgement = {
  readonly before: InView | null;
  readonly after: InView | null;
  readonly expected: Expected | null;
};

export type Images = { readonly before: RowImage | null; readonly after: RowImage | null };

/** One object for each change: the judge knows images by their identity. */
const known = new WeakMap<WalChange, Images>();

/** The images of a change that may have to be judged. */
export function imagesOf(table: OracleTable, change: WalChange): Images {
  const images = known.get(change) ?? readImages(table, change);
  known.set(change, images);
  return images;
}

function readImages(table: OracleTable, change: WalChange): Images {
  const { old } = change;
  if (old === null || table.isFull) return { before: old, after: change.new };
  return { before: table.hasKey ? keyImage(table, old) : null, after: change.new };
}

export async function judgeChange(
  judge: ShadowJudge,
  table: OracleTable,
  change: WalChange,
  reader: Reader,
): Promise<Judgement> {
  if (change.op === 'TRUNCATE') return { before: null, after: null, expected: truncation(reader) };
  const images = imagesOf(table, change);
  const inView = (image: RowImage | null): Promise<InView> | null =>
    image === null ? null : viewOf(judge, table, image, reader);
  const [before, after] = await Promise.all([inView(images.before), inView(images.after)]);
  return { before, after, expected: wanted(eventOf(change.op, before, after), reader.filter) };
}

function truncation({ facts, filter }: Reader): Expected | null {
  const isTold = facts.columns.size > 0 && (!facts.isBound || facts.hasPermissive);
  // What a filter that may not be read any more says of no row at all is left open.
  const isOptional = !(filter.where?.columns ?? []).every((name) => facts.columns.has(name));
  return wanted(isTold ? { event: 'TRUNCATE', hasCause: false, isOptional } : null, filter);
}

function eventOf(op: WalChange['op'], before: InView | null, after: InView | null): Expected | null {
  const event = (name: WalChange['op'], hasCause = false): Expected => ({ event: name, hasCause, isOptional: false });
  if (op === 'INSERT') return after === true ? event('INSERT') : null;
  if (op === 'DELETE') return before === true ? event('DELETE') : null;
  // Without an old image, or with one that cannot be judged, a visible UPDATE stays one.
  if (before === null || before === 'unknown') return after === true ? event('UPDATE') : null;
  if (after === true) return before ? event('UPDATE') : event('INSERT', true);
  return before ? event('DELETE', true) : null;
}

function wanted(expected: Expected | null, { events }: SubscriberFilter): Expected | null {
  return expected !== null && (events === undefined || events.includes(expected.event)) ? expected : null;
}

/** Sees everything: what a filter alone says. */
const NOBODY: Viewer = { role: 'none', claims: '{}' };

async function viewOf(
  judge: ShadowJudge,
  table: OracleTable,
  image: RowImage,
  { viewer, filter: { where }, facts }: Reader,
): Promise<InView> {
  const read = where?.columns ?? [];
  if (facts.columns.size === 0 || !read.every((name) => facts.columns.has(name))) return false;
  if (facts.isBound && !facts.hasPermissive) return false;
  const condition = where?.sql ?? 'true';
  const canAskWhere = read.every((name) => image.has(name));
  if (canAskWhere && (await judge.sees(table, image, viewer, condition))) return true;
  if (canAskWhere && !(await judge.sees(table, image, NOBODY, condition))) return false;
  const unjudged = judge.unjudged(table, image);
  if (facts.isBound && facts.policies.some(({ name }) => unjudged.has(name))) return 'unknown';
  return !canAskWhere && (await judge.sees(table, image, viewer, 'true')) ? 'unknown' : false;
}

/** Columns that a reader gets. */
export function columnsOf(table: OracleTable, { facts, filter }: Reader): ReadonlySet<string> {
  const { columns } = filter;
  if (columns === undefined) return facts.columns;
  const chosen = new Set([...columns, ...keyOf(table)]);
  return new Set([...facts.columns].filter((name) => chosen.has(name)));
}

export type FrameBody = {
  readonly event: string;
  readonly cause: unknown;
  readonly new: object | null;
  readonly old: object | null;
  readonly unchanged: unknown;
};

/** The frame that `expected` means, out of what the witness got for the same change. */
export function expectedBody(
  table: OracleTable,
  witness: ChangeFrame,
  expected: Expected,
  columns: ReadonlySet<string>,
): FrameBody {
  const { event, hasCause } = expected;
  const key = new Set(keyOf(table).filter((name) => columns.has(name)));
  const isLeave = event === 'DELETE' && hasCause;
  const isEnter = event === 'INSERT' && hasCause;
  // A row that leaves is named by its key; without one, by all that the receiver had of it.
  const hasWholeOld = table.isFull && (!isLeave || !table.hasKey);
  const unchanged = (witness.payload.unchanged ?? []).filter((name) => columns.has(name));
  return {
    event,
    cause: hasCause ? 'UPDATE' : undefined,
    new: event === 'DELETE' ? null : part(witness.payload.new, columns),
    old: isEnter ? null : part(witness.payload.old, hasWholeOld ? columns : key),
    unchanged: unchanged.length > 0 && event !== 'DELETE' ? unchanged : undefined,
  };
}

export function bodyOf({ event, payload }: ChangeFrame): FrameBody {
  const { cause } = payload as { cause?: unknown };
  return { event, cause, new: payload.new, old: payload.old, unchanged: payload.unchanged };
}

function part(row: Readonly<Record<string, unknown>> | null, columns: ReadonlySet<string>): object | null {
  return row === null ? null : Object.fromEntries(Object.entries(row).filter(([name]) => columns.has(name)));
}

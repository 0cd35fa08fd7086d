// Owns who gets which changes of a stretch, and as what: the images of its rows, the viewers among the groups
// that are subscribed, and their verdicts. Viewers that come while others are judged are judged as well, before
// anything is fanned out. Admins without a `where` see everything, and are not asked about.

import type { ChangeMessage } from '../changes/change-message.ts';
import type { ColumnMask } from '../changes/row-encoder.ts';
import type { Group } from '../hub/subscription.ts';
import {
  type JudgedTable,
  NO,
  type SetVerdict,
  type TableVerdicts,
  UNKNOWN,
  type Viewer,
  type ViewerVerdict,
  verdictAt,
  YES,
} from '../policies/row-verdict.ts';
import type { Relation } from '../replication/relation.ts';
import type { ChangeRun, Run } from './stretch.ts';
import { type ImagePlace, TableStretch } from './table-stretch.ts';
import { HIDDEN, SAME, viewOf } from './view-event.ts';
import { filterOf, type Viewers } from './viewers.ts';

/** What the members of a group get of a run. */
export type GroupView = {
  /** A view for each message of the run; null where each is told as it is. */
  readonly views: Uint8Array | null;
  readonly mask: ColumnMask;
  /** Rows may be missing, and the group has to be told. */
  readonly isWithheld: boolean;
};

export type Judge = {
  judge(tables: readonly JudgedTable[], xids: readonly number[], signal: AbortSignal): Promise<TableVerdicts[]>;
};

type JudgedViewers = { readonly stretch: TableStretch; readonly verdicts: Map<string, ViewerVerdict> };

export class Audience {
  readonly #stretch: readonly ChangeMessage[];
  readonly #channels = new Map<Relation, string>();
  readonly #viewers: Viewers;
  readonly #groupsOf: (channel: string) => Iterable<Group>;
  /** Made for the tables of which somebody has to be judged. */
  readonly #tables = new Map<Relation, JudgedViewers>();

  /** `groupsOf` gives the groups that are subscribed to a channel at the moment. */
  constructor(runs: readonly Run[], viewers: Viewers, groupsOf: (channel: string) => Iterable<Group>) {
    this.#viewers = viewers;
    const ofTables = runs.filter((run) => run.kind === 'changes');
    this.#stretch = ofTables.flatMap(({ messages }) => messages);
    for (const { relation, channel } of ofTables) this.#channels.set(relation, channel);
    this.#groupsOf = groupsOf;
  }

  /** Whether somebody is subscribed of whom it is not known yet what they see. */
  get isOpen(): boolean {
    for (const [relation, channel] of this.#channels) if (this.#unjudged(relation, channel).length > 0) return true;
    return false;
  }

  /** Judges whoever is not judged yet. Rejects when the database cannot be asked. */
  async judge(judge: Judge, signal: AbortSignal): Promise<void> {
    const open = [...this.#channels]
      .map(([relation, channel]) => ({ relation, viewers: this.#unjudged(relation, channel) }))
      .filter(({ viewers }) => viewers.length > 0)
      .map(({ relation, viewers }) => ({ table: this.#table(relation), viewers }));
    const tables = open.map(({ table, viewers }) => ({ ...table.stretch.judged(), viewers }));
    const verdicts = await judge.judge(tables, this.#xids(), signal);
    for (const [index, { table }] of open.entries()) {
      for (const [key, verdict] of verdicts[index] as TableVerdicts) table.verdicts.set(key, verdict);
    }
  }

  /** What `group` gets of the messages of `run`; undefined for nothing. */
  view(group: Group, run: Run): GroupView | undefined {
    // Whoever may subscribe to a channel gets what is published on it.
    if (run.kind === 'published') return EVERYTHING;
    const viewer = this.#viewers.of(group);
    const wanted = filterOf(group)?.columns ?? null;
    if (viewer === undefined) return { views: null, mask: maskOf(run, null, wanted), isWithheld: false };
    const table = this.#tables.get(run.relation);
    const verdict = table?.verdicts.get(viewer.key);
    if (table === undefined || verdict === undefined) return undefined;
    const views = viewsOf(table.stretch, verdict, run.from, run.from + run.messages.length);
    if (views !== null && !verdict.isWithheld && views.every((view) => view === HIDDEN)) return undefined;
    return { views, mask: maskOf(run, verdict.columns, wanted), isWithheld: verdict.isWithheld };
  }

  #unjudged(relation: Relation, channel: string): Viewer[] {
    const verdicts = this.#tables.get(relation)?.verdicts;
    const viewers = new Map<string, Viewer>();
    for (const group of this.#groupsOf(channel)) {
      const viewer = this.#viewers.of(group);
      if (viewer !== undefined && !verdicts?.has(viewer.key)) viewers.set(viewer.key, viewer);
    }
    return [...viewers.values()];
  }

  #table(relation: Relation): JudgedViewers {
    let table = this.#tables.get(relation);
    if (table === undefined) {
      const messages = this.#stretch.filter((message) => message.relation === relation);
      table = { stretch: new TableStretch(relation, messages), verdicts: new Map() };
      this.#tables.set(relation, table);
    }
    return table;
  }

  #xids(): number[] {
    return [...new Set(this.#stretch.map(({ transaction }) => transaction.xid))];
  }
}

const EVERYTHING: GroupView = { views: null, mask: null, isWithheld: false };

/** Which columns are sent. */
function maskOf(
  { relation, messages }: ChangeRun,
  granted: ReadonlySet<string> | null,
  wanted: ReadonlySet<string> | null,
): ColumnMask {
  if (granted === null && wanted === null) return null;
  const row = messages.find((message) => message.row !== null)?.row;
  return row?.encoder.mask(relation, granted, wanted) ?? null;
}

/** Null where every message is told as it is. */
function viewsOf(stretch: TableStretch, verdict: ViewerVerdict, from: number, to: number): Uint8Array | null {
  if (verdict.seesTruncate && verdict.sets.every((set) => set === YES)) return null;
  const views = new Uint8Array(to - from);
  let isWhole = true;
  for (let index = from; index < to; index++) {
    const view = viewAt(stretch, verdict, index);
    views[index - from] = view;
    if (view !== SAME) isWhole = false;
  }
  return isWhole ? null : views;
}

function viewAt(stretch: TableStretch, verdict: ViewerVerdict, index: number): number {
  const event = stretch.eventAt(index);
  if (event === 'TRUNCATE') return verdict.seesTruncate ? SAME : HIDDEN;
  const old = verdictOf(verdict, stretch.oldAt(index));
  const fresh = verdictOf(verdict, stretch.newAt(index));
  // What was given up is told as a gap alone: half a verdict would make another event of it.
  if (verdict.isWithheld && (fresh === UNKNOWN || old === UNKNOWN)) return HIDDEN;
  // A whole old row goes to those alone who are known to have seen it.
  return viewOf(event, fresh, stretch.hasWholeOldRows && old === UNKNOWN ? NO : old);
}

function verdictOf({ sets }: ViewerVerdict, place: ImagePlace | undefined): number | undefined {
  return place && verdictAt(sets[place.set] as SetVerdict, place.index);
}

// Owns the check at a quiet moment: everything committed since the last one has been delivered, and nothing
// that decides about visibility has changed since it was. Each frame must be expected and each expected one
// there, for every subscriber; and copies must equal what a SELECT shows.

import { isDeepStrictEqual } from 'node:util';
import { escapeIdentifier } from 'pg';
import type { ChangeFrame } from '../app/test-client.ts';
import {
  bodyOf,
  columnsOf,
  type Expected,
  expectedBody,
  imagesOf,
  type Judgement,
  judgeChange,
  type Reader,
} from './expectation.ts';
import { standsFor } from './frame-value.ts';
import type { OracleTable } from './oracle-table.ts';
import type { ShadowJudge } from './shadow-judge.ts';
import type { Subscriber, Subscription } from './subscriber.ts';
import { type Scene, type Violation, type ViolationKind, violation } from './violation.ts';
import type { WalChange } from './wal-images.ts';

export type MomentReport = {
  readonly violations: Violation[];
  /** Images that were judged, once for each subscriber. */
  decisions: number;
  visible: number;
  frames: number;
  copies: number;
  /** How often subscribers were told that rows may be missing, and how many were. */
  gaps: number;
  withheld: number;
};

export type Moment = {
  readonly name: string;
  readonly judge: ShadowJudge;
  readonly witness: Subscriber;
  readonly tables: readonly OracleTable[];
  readonly changes: readonly WalChange[];
  readonly report: MomentReport;
};

type Taken = ReadonlyMap<Subscription, ChangeFrame[]>;

/** What the witness got, by position: the values that everybody must get. */
export type Testimony = ReadonlyMap<string, ChangeFrame>;

/** Hands all images of the moment to the judge. */
export async function fileImages({ judge, tables, changes }: Moment): Promise<void> {
  for (const table of tables) {
    const images = changesOf(table, changes).flatMap((change) => Object.values(imagesOf(table, change)));
    await judge.file(
      table,
      images.filter((image) => image !== null),
    );
  }
}

/** Checks the witness against the WAL. */
export function checkWitness(moment: Moment, taken: Taken): Testimony {
  const testimony = new Map<string, ChangeFrame>();
  for (const [{ table, filter }, frames] of taken) {
    const scene = { subscriber: moment.witness, table, filter, moment: moment.name };
    const changes = changesOf(table, moment.changes);
    for (const frame of frames) testimony.set(frame.position, frame);
    if (
      !isDeepStrictEqual(
        frames.map(({ position }) => position),
        changes.map(({ position }) => position),
      )
    ) {
      moment.report.violations.push(
        violation('witness', scene, `${frames.length} frames for ${changes.length} changes`),
      );
    }
    for (const change of changes) {
      const frame = testimony.get(change.position);
      if (frame !== undefined && !isFaithful(table, change, frame)) {
        moment.report.violations.push(violation('witness', scene, 'another row than in the WAL', { change, frame }));
      }
    }
  }
  return testimony;
}

function isFaithful({ columns, isFull }: OracleTable, change: WalChange, { event, payload }: ChangeFrame): boolean {
  const kinds = new Map(columns.map(({ name, kind }) => [name, kind]));
  const isSame = (image: WalChange['new'], row: Readonly<Record<string, unknown>> | null): boolean => {
    if (image === null || row === null) return image === row;
    const names = [...image.keys()];
    return (
      isDeepStrictEqual(names.toSorted(), Object.keys(row).toSorted()) &&
      names.every((name) => standsFor(row[name], image.get(name) ?? null, kinds.get(name) ?? 'word'))
    );
  };
  const isOldSame = change.old === null && change.op === 'UPDATE' ? true : isSame(change.old, payload.old);
  const unchanged = isFull || change.unchanged.length === 0 ? undefined : change.unchanged;
  return (
    event === change.op &&
    isSame(change.new, payload.new) &&
    isOldSame &&
    isDeepStrictEqual(payload.unchanged, unchanged)
  );
}

/** Checks what one subscriber got, and brings its copies up to date. */
export async function checkSubscriber(
  moment: Moment,
  subscriber: Subscriber,
  taken: Taken,
  testimony: Testimony,
): Promise<void> {
  for (const [subscription, frames] of taken) {
    const { table, filter } = subscription;
    const facts = await moment.judge.facts(table, subscriber.viewer.role);
    const reader = { viewer: subscriber.viewer, filter, facts };
    const scene = { subscriber, table, filter, moment: moment.name };
    const reads = filter.where?.columns ?? [];
    if (facts.columns.size === 0 || !reads.every((name) => facts.columns.has(name))) subscription.isEndExcused = true;
    if (subscription.state === 'ended' && !subscription.isEndExcused) {
      moment.report.violations.push(
        violation('subscription', scene, 'it was ended although its role may read the table'),
      );
    }
    const check = new DeliveryCheck(moment, scene, reader, testimony);
    await check.run(frames, subscription);
    if (subscription.gaps.length > 0) subscription.copy.isIncomplete = true;
    moment.report.gaps += subscription.gaps.length;
    subscription.gaps = [];
    for (const frame of frames) subscription.copy.apply(frame);
    if (subscription.state === 'ended') subscription.state = 'refused';
  }
}

class DeliveryCheck {
  readonly #moment: Moment;
  readonly #scene: Scene;
  readonly #reader: Reader;
  readonly #testimony: Testimony;

  constructor(moment: Moment, scene: Scene, reader: Reader, testimony: Testimony) {
    this.#moment = moment;
    this.#scene = scene;
    this.#reader = reader;
    this.#testimony = testimony;
  }

  async run(frames: readonly ChangeFrame[], subscription: Subscription): Promise<void> {
    this.#moment.report.frames += frames.length;
    await this.#checkOrder(frames);
    const got = new Map(frames.map((frame) => [frame.position, frame]));
    for (const change of changesOf(this.#scene.table, this.#moment.changes)) {
      const frame = got.get(change.position);
      got.delete(change.position);
      if (frame === undefined && subscription.state === 'refused') continue;
      await this.#checkChange(change, frame, subscription);
    }
    for (const frame of got.values())
      await this.#report('leak', 'a message of no change of this moment', { got: frame });
  }

  async #checkOrder(frames: readonly ChangeFrame[]): Promise<void> {
    const at = frames.findIndex(({ position }, index) => index > 0 && position <= (frames[index - 1]?.position ?? ''));
    if (at > 0) await this.#report('order', `${frames[at]?.position} came behind ${frames[at - 1]?.position}`);
  }

  async #checkChange(change: WalChange, frame: ChangeFrame | undefined, { state, gaps }: Subscription): Promise<void> {
    const judgement = await judgeChange(this.#moment.judge, this.#scene.table, change, this.#reader);
    this.#count(judgement);
    const { expected } = judgement;
    const details = { change, judgement, got: frame };
    if (frame === undefined) {
      const isDue = expected !== null && !expected.isOptional && state === 'live';
      // A policy that raises for many rows is given up, and its readers are told from where to where.
      const isTold = gaps.some(({ from, to }) => change.position > from && change.position <= to);
      if (isDue && isTold) this.#moment.report.withheld++;
      if (isDue && !isTold) await this.#report('loss', `no ${expected.event} came`, details);
      return;
    }
    if (expected === null || state === 'refused') return this.#report('leak', `${frame.event} came`, details);
    await this.#checkBody(frame, expected, details);
  }

  async #checkBody(frame: ChangeFrame, expected: Expected, details: object): Promise<void> {
    const { table } = this.#scene;
    const witness = this.#testimony.get(frame.position);
    if (witness === undefined) return;
    const columns = columnsOf(table, this.#reader);
    const [body, due] = [bodyOf(frame), expectedBody(table, witness, expected, columns)];
    const extra = [body.new, body.old].flatMap((row) => Object.keys(row ?? {})).filter((name) => !columns.has(name));
    if (extra.length > 0) await this.#report('columns', `${extra} came`, { ...details, due });
    else if (!isDeepStrictEqual(body, due)) await this.#report('form', 'another frame came', { ...details, due });
  }

  #count({ before, after }: Judgement): void {
    const { report } = this.#moment;
    for (const answer of [before, after]) {
      if (answer === null) continue;
      report.decisions++;
      if (answer === true) report.visible++;
    }
  }

  async #report(kind: ViolationKind, what: string, details: object = {}): Promise<void> {
    const access = await this.#moment.judge.describe(this.#scene.table);
    this.#moment.report.violations.push(violation(kind, this.#scene, what, { ...details, access }));
  }
}

/** Compares every copy with the SELECT that it stands for. */
export async function checkCopies(moment: Moment, subscriber: Subscriber): Promise<void> {
  for (const { table, filter, copy, state } of subscriber.subscriptions.values()) {
    const facts = await moment.judge.facts(table, subscriber.viewer.role);
    const columns = columnsOf(table, { viewer: subscriber.viewer, filter, facts });
    const keys = table.columns.filter(({ isKey }) => isKey);
    const isKept = table.isFull && table.hasKey && filter.events === undefined && state === 'live';
    if (!isKept || copy.isIncomplete || columns.size === 0 || !keys.every(({ name }) => columns.has(name))) continue;
    const list = [...columns].map((name) => `${escapeIdentifier(name)}::text`).join(', ');
    const sql = `select ${list} from ${table.sql} where ${filter.where?.sql ?? 'true'}`;
    // A row that raises hides all others from a SELECT, and no others from a subscriber.
    const rows = await moment.judge.select(subscriber.viewer, sql).catch(() => undefined);
    if (rows === undefined) continue;
    moment.report.copies++;
    const difference = differenceOf(table, copy.rows, rows as Record<string, string | null>[]);
    if (difference === undefined) continue;
    const scene = { subscriber, table, filter, moment: moment.name };
    const access = await moment.judge.describe(table);
    moment.report.violations.push(
      violation('copy', scene, 'a copy differs from the SELECT', { ...difference, access }),
    );
  }
}

function differenceOf(
  table: OracleTable,
  copied: Subscription['copy']['rows'],
  selected: readonly Record<string, string | null>[],
): object | undefined {
  const kinds = new Map(table.columns.map(({ name, kind }) => [name, kind]));
  const keys = table.columns.filter(({ isKey }) => isKey).map(({ name }) => name);
  const left = new Map(copied);
  for (const row of selected) {
    const key = JSON.stringify(keys.map((name) => row[name]));
    const copy = left.get(key);
    left.delete(key);
    const isSame =
      copy !== undefined &&
      Object.keys(copy).length === Object.keys(row).length &&
      Object.entries(row).every(([name, text]) => standsFor(copy[name], text, kinds.get(name) ?? 'word'));
    if (!isSame) return { selected: row, copied: copy };
  }
  const [surplus] = left.values();
  return surplus === undefined ? undefined : { selected: undefined, copied: surplus };
}

function changesOf(table: OracleTable, changes: readonly WalChange[]): WalChange[] {
  return changes.filter((change) => change.schema === table.schema && change.table === table.name);
}

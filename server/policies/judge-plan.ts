// Owns what has to be asked to judge a batch: the distinct questions behind all viewers of all its tables, each
// asked once however many share it, and the verdicts that follow from the answers. Pure.

import type { JudgeIdentity } from './judge-call.ts';
import type { Holdable } from './quarantine.ts';
import type { AskedCondition } from './row-condition.ts';
import {
  type ImageSet,
  type JudgedTable,
  NO,
  type SetVerdict,
  type TableVerdicts,
  UNKNOWN,
  type Viewer,
  type ViewerVerdict,
  verdictAt,
  YES,
} from './row-verdict.ts';
import type { KnownConditions } from './rules-cache.ts';
import type { Asked, TableConditions } from './table-conditions.ts';
import { mayRead, type TableRules } from './table-rules.ts';

export type QuestionKind = 'policies' | 'where';

/** A question about all images of a set. */
export type Question = Holdable & {
  readonly set: ImageSet;
  readonly condition: AskedCondition;
  /** The statement that asks the condition. */
  readonly sql: string;
  readonly identity: JudgeIdentity;
  readonly kind: QuestionKind;
  readonly rules: TableRules;
  verdict: SetVerdict;
  /** Was not asked, or not to the end: rows may be missing. */
  isWithheld: boolean;
};

/** On whose behalf; `who` tells apart what is asked under one role. */
type Asker = {
  readonly kind: QuestionKind;
  readonly who: string;
  readonly role: string | null;
  readonly claims: Readonly<Record<string, unknown>>;
};

export class JudgePlan {
  readonly #questions = new Map<string, Question>();
  readonly #tables: readonly JudgedTable[];
  readonly #conditions: readonly KnownConditions[];

  /** `conditions` are those of the tables, in their order. */
  constructor(tables: readonly JudgedTable[], conditions: readonly KnownConditions[]) {
    this.#tables = tables;
    this.#conditions = conditions;
    for (const [table, { viewers }] of tables.entries()) for (const viewer of viewers) this.#collect(table, viewer);
  }

  /** Set by set, so that images are unpacked once for all who are asked about them. */
  get questions(): readonly Question[] {
    const sets = new Map<ImageSet, Question[]>();
    for (const question of this.#questions.values()) {
      const sharing = sets.get(question.set);
      if (sharing === undefined) sets.set(question.set, [question]);
      else sharing.push(question);
    }
    return [...sets.values()].flat();
  }

  /** Once the questions have their verdicts. */
  verdicts(): TableVerdicts[] {
    return this.#tables.map(
      ({ viewers }, table) => new Map(viewers.map((viewer) => [viewer.key, this.#verdict(table, viewer)])),
    );
  }

  #collect(table: number, viewer: Viewer): void {
    for (const set of (this.#tables[table] as JudgedTable).sets) {
      this.#policies(table, viewer, set);
      this.#where(table, viewer, set);
    }
  }

  #verdict(table: number, viewer: Viewer): ViewerVerdict {
    const known = this.#conditions[table] as KnownConditions;
    const { sets } = this.#tables[table] as JudgedTable;
    if (!isJudgeable(known)) return nothing(sets, known !== 'gone');
    let isWithheld = false;
    const judged = sets.map((set) => {
      const policies = this.#policies(table, viewer, set);
      const where = this.#where(table, viewer, set);
      const verdict = both(verdictOf(policies), verdictOf(where), set.size);
      isWithheld ||= isHeld(policies) || isHeld(where) || (set.isCut && isUnknown(verdict));
      return verdict;
    });
    if (viewer.role === null) return { columns: null, seesTruncate: true, sets: judged, isWithheld };
    const rules = known.rules.roles.get(viewer.role);
    if (!mayRead(rules)) return nothing(sets, false);
    const seesTruncate = !rules.isBound || rules.policies.some(({ isPermissive }) => isPermissive);
    return { columns: known.readable(rules), seesTruncate, sets: judged, isWithheld };
  }

  #policies(table: number, { role, classKey, claims }: Viewer, set: ImageSet): Question | SetVerdict {
    const known = this.#conditions[table] as KnownConditions;
    if (!isJudgeable(known)) return NO;
    if (role === null) return YES;
    const asker = { kind: 'policies', who: classKey, role, claims } as const;
    return this.#question(table, set, known.rules, known.policies(role, set), asker);
  }

  // A filter says the same whoever asks; it runs under the role only so that it may use what the role may.
  #where(table: number, { role, filter }: Viewer, set: ImageSet): Question | SetVerdict {
    const known = this.#conditions[table] as KnownConditions;
    if (!isJudgeable(known)) return NO;
    if (filter === null || filter.whereKey === null) return YES;
    const isTakeable = role !== null && known.rules.roles.get(role)?.isTakeable === true;
    const asker: Asker = { kind: 'where', who: filter.whereKey, role: isTakeable ? role : null, claims: NO_CLAIMS };
    return this.#question(table, set, known.rules, known.where(role, filter, set), asker);
  }

  #question(
    table: number,
    set: ImageSet,
    rules: TableRules,
    { condition, sql }: Asked,
    { kind, who, role, claims }: Asker,
  ): Question | SetVerdict {
    if (condition.kind !== 'ask') return CONSTANT[condition.kind];
    const id = JSON.stringify([table, set.presence, kind, role, who, sql]);
    let question = this.#questions.get(id);
    if (question === undefined) {
      const timeZone = kind === 'where' ? 'UTC' : undefined;
      const identity = { role, claims: JSON.stringify(claims), channelName: '', timeZone } as const;
      const group = JSON.stringify([rules.oid, kind, role]);
      const key = JSON.stringify([rules.oid, kind, role, who]);
      question = { key, group, set, condition, sql, identity, kind, rules, verdict: NO, isWithheld: false };
      this.#questions.set(id, question);
    }
    return question;
  }
}

const CONSTANT = { yes: YES, no: NO, unknown: UNKNOWN } as const;
const NO_CLAIMS = {};
function isJudgeable(known: KnownConditions): known is TableConditions {
  return typeof known === 'object' && known.agreed !== undefined;
}

function nothing(sets: readonly ImageSet[], isWithheld: boolean): ViewerVerdict {
  return { columns: new Set(), seesTruncate: false, sets: sets.map(() => NO), isWithheld };
}

function isUnknown(verdict: SetVerdict): boolean {
  return typeof verdict === 'number' ? verdict === UNKNOWN : verdict.includes(UNKNOWN);
}

function verdictOf(question: Question | SetVerdict): SetVerdict {
  return isQuestion(question) ? question.verdict : question;
}

function isHeld(question: Question | SetVerdict): boolean {
  return isQuestion(question) && question.isWithheld;
}

function isQuestion(question: Question | SetVerdict): question is Question {
  return typeof question === 'object' && 'key' in question;
}

/** AND of SQL, with UNKNOWN for what could not be judged. */
function both(a: SetVerdict, b: SetVerdict, size: number): SetVerdict {
  if (a === NO || b === NO) return NO;
  if (a === YES) return b;
  if (b === YES) return a;
  const joined = new Uint8Array(size);
  for (let index = 0; index < size; index++) joined[index] = and(verdictAt(a, index), verdictAt(b, index));
  return joined;
}

function and(a: number, b: number): number {
  if (a === NO || b === NO) return NO;
  return a === YES && b === YES ? YES : UNKNOWN;
}

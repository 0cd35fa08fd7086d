// Owns how questions become one request: statements, identities and images are sent once each, however many
// questions share them. Pure.

import type { JudgeIdentity, JudgeRequest } from './judge-call.ts';
import type { Question } from './judge-plan.ts';
import type { ImageSet } from './row-verdict.ts';

/** What the answer must hold for. */
export type JudgeFrame = Pick<JudgeRequest, 'xids' | 'relids' | 'fingerprints' | 'budgetMs'>;

/** The request that asks `questions`, in their order. */
export function judgeRequest(
  questions: readonly Question[],
  frame: JudgeFrame,
  isSuspect: (question: Question) => boolean,
): JudgeRequest {
  const sets = new Distinct<ImageSet>();
  const statements = new Distinct<{ sql: string; set: number }>();
  const identities = new Distinct<JudgeIdentity>();
  const needed = new Map<ImageSet, Set<string>>();
  const entries = questions.map((question) => {
    const { set, condition, sql, identity } = question;
    need(needed, set, condition.needed);
    const setAt = sets.place(set, set);
    return {
      statement: statements.place(`${setAt} ${sql}`, { sql, set: setAt }),
      identity: identities.place(JSON.stringify(identity), identity),
      isSuspect: isSuspect(question),
    };
  });
  const literals = sets.list.map((set) => set.literals(needed.get(set) as Set<string>));
  return { ...frame, sets: literals, statements: statements.list, identities: identities.list, entries };
}

function need(needed: Map<ImageSet, Set<string>>, set: ImageSet, columns: ReadonlySet<string>): void {
  const known = needed.get(set);
  if (known === undefined) needed.set(set, new Set(columns));
  else for (const column of columns) known.add(column);
}

/** Things in the order of their first mention, told apart by a key. */
class Distinct<T> {
  readonly list: T[] = [];
  readonly #places = new Map<unknown, number>();

  place(key: unknown, thing: T): number {
    let place = this.#places.get(key);
    if (place === undefined) {
      place = this.list.push(thing) - 1;
      this.#places.set(key, place);
    }
    return place;
  }
}

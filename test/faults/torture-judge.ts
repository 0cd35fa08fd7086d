// Owns the verdict on one trail: what was due to it and did not come, what came twice or out of order, and what
// nobody had committed. Pure: the oracle's list and the trail in, findings out.

import type { Due } from './torture-interest.ts';
import { EPOCH_LENGTH, type Seen, type Trail, type TrailEntry } from './torture-trail.ts';

export type Findings = {
  readonly lost: number;
  /** The same message twice on one connection: not even a resume excuses that. */
  readonly duplicated: number;
  readonly disordered: number;
  /** Not due at all, other than committed, or a new epoch without a word. */
  readonly wrong: number;
  /** Seen again after a resume from further back: allowed, and told by position and id. */
  readonly repeated: number;
  readonly recovered: number;
  /** Resumes that were told that what was missed does not come, by reason; and gaps that were told. */
  readonly told: ReadonlyMap<string, number>;
  /** The first few, in words. */
  readonly samples: readonly string[];
};

/** `due` is in the order of its places. */
export function judgeTrail(due: readonly Due[], trail: Trail): Findings {
  const judge = new TrailJudge(due, trail);
  for (const entry of trail.entries) judge.take(entry);
  return judge.end();
}

const SAMPLES = 5;
/** Entries of the trail that are shown before what is wrong. */
const AROUND = 6;

class TrailJudge {
  readonly #due: readonly Due[];
  readonly #trail: readonly TrailEntry[];
  readonly #name: string;
  /** Of what is due: everything before it came, was given up with a word, or is missing. */
  #next = 0;
  /** What is missing, with how many entries had come when that was seen. */
  readonly #missing = new Map<number, number>();
  #entries = 0;
  readonly #came = new Set<number>();
  /** Between a snapshot and `live`: what the snapshot contains does not come. */
  #isPartial = false;
  /** Between a resume and `live`: a gap is told at once, and the replay comes to it later. */
  #isReplaying = false;
  #epoch: string | undefined;
  /** The last place on this connection; a resume starts anew. */
  #last = '';
  #duplicated = 0;
  #disordered = 0;
  #wrong = 0;
  #repeated = 0;
  #recovered = 0;
  readonly #told = new Map<string, number>();
  readonly #gaps: { readonly first: number; readonly end: number }[] = [];
  readonly #samples: string[] = [];

  constructor(due: readonly Due[], trail: Trail) {
    this.#due = due;
    this.#trail = trail.entries;
    this.#name = `${trail.name} on ${trail.interest.channel}`;
  }

  take(entry: TrailEntry): void {
    this.#entries++;
    switch (entry.kind) {
      case 'fresh':
        return this.#jump(entry.position);
      case 'snapshot':
        this.#jump(entry.position);
        this.#isPartial = true;
        this.#isReplaying = true;
        return;
      case 'unrecovered':
        this.#tell(`not recovered: ${entry.reason}`);
        return this.#jump(entry.position);
      case 'recovered':
        this.#recovered++;
        this.#isReplaying = true;
        this.#next = this.#firstAbove(placeIn(entry.since));
        this.#last = placeIn(entry.since);
        return;
      case 'gap':
        this.#tell(`gap: ${entry.reason}`);
        return this.#gap(entry.from ?? '', entry.to);
      case 'live':
        this.#isReplaying = false;
        this.#sameEpoch(entry.position);
        if (this.#isPartial) return this.#jump(entry.position);
        return this.#reach(this.#firstAbove(placeIn(entry.position)));
      case 'message':
        return this.#message(entry.seen);
      case 'crossed':
        this.#disordered++;
        return this.#sample(
          `${entry.seen.position} came behind ${entry.behind} of another subscription, ${this.#around(this.#entries)}`,
        );
    }
  }

  end(): Findings {
    this.#entries++;
    this.#reach(this.#due.length);
    this.#excuse();
    this.#sampleLost();
    return {
      lost: this.#missing.size,
      duplicated: this.#duplicated,
      disordered: this.#disordered,
      wrong: this.#wrong,
      repeated: this.#repeated,
      recovered: this.#recovered,
      told: this.#told,
      samples: this.#samples,
    };
  }

  #message(seen: Seen): void {
    const place = placeIn(seen.position);
    this.#sameEpoch(seen.position);
    const index = this.#firstAbove(place) - 1;
    const due = this.#due[index];
    if (due?.place !== place) return this.#mistake(`nothing of ${JSON.stringify(seen)} was due`);
    if (due.event !== seen.event || due.content !== seen.content) {
      this.#mistake(`${JSON.stringify(seen)} came for ${JSON.stringify(due)}`);
    }
    if (place <= this.#last) return this.#backwards(seen, index);
    this.#last = place;
    if (this.#came.has(index)) this.#repeated++;
    this.#came.add(index);
    this.#reach(index);
    this.#next = index + 1;
    this.#missing.delete(index);
  }

  #backwards(seen: Seen, index: number): void {
    if (this.#came.has(index)) this.#duplicated++;
    else this.#disordered++;
    const again = this.#came.has(index) ? ' again' : '';
    this.#sample(`${seen.position} came behind ${this.#last}${again}, ${this.#around(this.#entries)}`);
    this.#came.add(index);
    this.#missing.delete(index);
  }

  // From here on without what lies between, which was said.
  #jump(position: string): void {
    this.#isPartial = false;
    this.#isReplaying = false;
    this.#epoch = position.slice(0, EPOCH_LENGTH);
    this.#next = this.#firstAbove(placeIn(position));
    this.#last = placeIn(position);
  }

  #gap(from: string, to: string): void {
    this.#epoch = to.slice(0, EPOCH_LENGTH);
    const gap = { first: this.#firstAbove(placeIn(from)), end: this.#firstAbove(placeIn(to)) };
    this.#gaps.push(gap);
    this.#next = Math.max(this.#next, gap.end);
  }

  // What lies in a gap that was told, be it before or after.
  #excuse(): void {
    for (const index of this.#missing.keys()) {
      if (this.#gaps.some(({ first, end }) => index >= first && index < end)) this.#missing.delete(index);
    }
  }

  #reach(index: number): void {
    for (; this.#next < index; this.#next++) {
      if (!this.#isPartial && !this.#came.has(this.#next)) this.#missing.set(this.#next, this.#entries);
    }
  }

  // One sample for all that were found missing at one place of the trail, with what stands around it.
  #sampleLost(): void {
    for (const [at, missing] of Map.groupBy(this.#missing.keys(), (index) => this.#missing.get(index) ?? 0)) {
      const [first, last] = [missing[0], missing.at(-1)].map((index) => JSON.stringify(this.#due[index ?? 0]));
      this.#sample(`lost ${missing.length}, from ${first} to ${last}, ${this.#around(at)}`);
    }
  }

  #around(at: number): string {
    const around = this.#trail.slice(Math.max(0, at - AROUND), at + 1).map((entry) => JSON.stringify(entry));
    return `at entry ${at} of ${this.#trail.length}: ${around.join(' ')}`;
  }

  #sameEpoch(position: string): void {
    const epoch = position.slice(0, EPOCH_LENGTH);
    if (this.#isReplaying && this.#epoch !== undefined && epoch < this.#epoch) return;
    if (this.#epoch !== undefined && epoch !== this.#epoch) this.#mistake(`${position} is of an epoch nobody told of`);
    this.#epoch = epoch;
  }

  #tell(reason: string): void {
    this.#told.set(reason, (this.#told.get(reason) ?? 0) + 1);
  }

  #mistake(text: string): void {
    this.#wrong++;
    this.#sample(`${text}, ${this.#around(this.#entries)}`);
  }

  #sample(text: string): void {
    if (this.#samples.length < SAMPLES) this.#samples.push(`${this.#name}: ${text}`);
  }

  /** The first thing due above `place`, by halving. */
  #firstAbove(place: string): number {
    let [low, high] = [0, this.#due.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#due[middle] as Due).place <= place) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

function placeIn(position: string): string {
  return position.slice(EPOCH_LENGTH);
}

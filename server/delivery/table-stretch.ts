// Owns the changes of one table version within a stretch: which images there are, and where each change has
// its own. Images are read when somebody has to be judged, not before.

import type { ChangeMessage } from '../changes/change-message.ts';
import { RowImages } from '../changes/row-image.ts';
import type { JudgedTable } from '../policies/row-verdict.ts';
import type { RowEvent } from '../protocol/client-frame.ts';
import type { Relation } from '../replication/relation.ts';

/** Where an image is: the number of its set, and its index there. */
export type ImagePlace = { readonly set: number; readonly index: number };

type Read = { readonly sets: JudgedTable['sets']; readonly places: readonly Places[] };
type Places = { readonly fresh: ImagePlace | undefined; readonly old: ImagePlace | undefined };

export class TableStretch {
  readonly #relation: Relation;
  readonly #messages: readonly ChangeMessage[];
  #images: Read | undefined;

  constructor(relation: Relation, messages: readonly ChangeMessage[]) {
    this.#relation = relation;
    this.#messages = messages;
  }

  get hasWholeOldRows(): boolean {
    return this.#relation.identity === 'full';
  }

  eventAt(index: number): RowEvent {
    return (this.#messages[index] as ChangeMessage).event;
  }

  newAt(index: number): ImagePlace | undefined {
    return this.#read().places[index]?.fresh;
  }

  oldAt(index: number): ImagePlace | undefined {
    return this.#read().places[index]?.old;
  }

  /** What is judged. */
  judged(): Omit<JudgedTable, 'viewers'> {
    return { version: this.#relation, oid: this.#relation.oid, sets: this.#read().sets };
  }

  #read(): Read {
    if (this.#images !== undefined) return this.#images;
    const images = new RowImages(this.#relation);
    const added = this.#messages.map(({ row }) => ({
      fresh: row === null ? undefined : images.add(row.entry, 'new'),
      old: row === null ? undefined : images.add(row.entry, 'old'),
    }));
    const { sets } = images;
    const place = (image: (typeof added)[number]['fresh']): ImagePlace | undefined =>
      image && { set: sets.indexOf(image.set), index: image.index };
    this.#images = { sets, places: added.map(({ fresh, old }) => ({ fresh: place(fresh), old: place(old) })) };
    return this.#images;
  }
}

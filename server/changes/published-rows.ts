// Owns the reading of rows of realtime.messages as the stream gives them: each INSERT is a published message.
// The columns are found by name, once for each version of the table.

import { must } from '../lib/assert.ts';
import type { ByteWriter } from '../protocol/byte-writer.ts';
import type { CanonicalChannel } from '../protocol/channel-name.ts';
import { rfc3339 } from '../protocol/timestamp-text.ts';
import type { Relation } from '../replication/relation.ts';
import type { RowEntry } from '../replication/wal-entry.ts';
import type { PublishedMessage } from './published-message.ts';
import { TupleView } from './tuple-view.ts';

const COLUMNS = ['id', 'channel_name', 'event_name', 'payload', 'sender_id', 'connection_id', 'created_at'] as const;
type Places = Readonly<Record<(typeof COLUMNS)[number], number>>;

const decoder = new TextDecoder();

export class PublishedRows {
  readonly #places = new WeakMap<Relation, Places>();
  readonly #view = new TupleView();

  /** The message of an INSERT; its payload is copied into `out`. */
  read(out: ByteWriter, entry: RowEntry): Omit<PublishedMessage, 'transaction' | 'position'> {
    const places = this.#placesOf(entry.relation);
    const view = this.#view.read(entry.newTuple);
    const text = (name: keyof Places): string => must(textAt(view, places[name]), name);
    const start = out.length;
    out.copy(view.bytes, view.start(places.payload), view.end(places.payload));
    return {
      kind: 'published',
      channel: text('channel_name') as CanonicalChannel,
      event: text('event_name'),
      messageId: text('id'),
      timestamp: rfc3339(text('created_at')),
      payload: out.view(start),
      senderId: textAt(view, places.sender_id) ?? null,
      connectionId: textAt(view, places.connection_id) ?? null,
    };
  }

  #placesOf(relation: Relation): Places {
    let places = this.#places.get(relation);
    if (places === undefined) {
      const placeOf = (name: string): number => relation.columns.findIndex((column) => column.name === name);
      places = Object.fromEntries(COLUMNS.map((name) => [name, placeOf(name)])) as Places;
      this.#places.set(relation, places);
    }
    return places;
  }
}

function textAt(view: TupleView, place: number): string | undefined {
  if (view.isNull(place)) return undefined;
  return decoder.decode(view.bytes.subarray(view.start(place), view.end(place)));
}

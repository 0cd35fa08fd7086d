// Owns the bytes of a run of messages in one variant: the dialect, the spelling of the channel, the columns sent and, where
// a frame has to name it, the subscription. Each frame is encoded once, when somebody first wants it, and
// neighbours that are wanted together lie one behind the other, so that they leave as one chunk.

import type { ChangeMessage } from '../changes/change-message.ts';
import type { PublishedMessage } from '../changes/published-message.ts';
import type { ColumnMask } from '../changes/row-encoder.ts';
import { middleOf } from '../changes/translator.ts';
import type { GroupSpec } from '../hub/group-spec.ts';
import { ByteWriter } from '../protocol/byte-writer.ts';
import type { RowEvent } from '../protocol/client-frame.ts';
import { messageHead, writeMessage } from '../protocol/message-frame.ts';
import { deliveredEvent, rowViewOf, SAME } from './view-event.ts';

/** What a frame has beside its payload: head, id, times, position. */
export const FRAME_OVERHEAD_BYTES = 260;

/** What a frame is made of; a message that is not persisted has no position. */
export type FramedMessage =
  | ChangeMessage
  | (Pick<PublishedMessage, 'kind' | 'event' | 'payload' | 'messageId' | 'timestamp' | 'senderId'> & {
      readonly position?: string | undefined;
    });

export type VariantSpec = Pick<GroupSpec, 'dialect' | 'channelName' | 'subscriptionId'> & {
  readonly mask: ColumnMask;
  /** Payloads above this are cut to the key. */
  readonly maxPayloadBytes: number;
};

export class FrameVariant {
  readonly #run: readonly FramedMessage[];
  readonly #spec: VariantSpec;
  readonly #heads = new Map<string, Uint8Array>();
  /** One list for each view, by the index of the message. */
  readonly #frames = new Map<number, Uint8Array[]>();
  readonly #chunks = new Map<string, Uint8Array>();

  constructor(run: readonly FramedMessage[], spec: VariantSpec) {
    this.#run = run;
    this.#spec = spec;
  }

  /** The frame of one message, told as `view`. */
  frame(index: number, view: number): Uint8Array {
    const frames = this.#framesOf(view);
    const known = frames[index];
    if (known !== undefined) return known;
    const out = new ByteWriter((this.#run[index] as FramedMessage).payload.length + FRAME_OVERHEAD_BYTES);
    this.#write(out, index, view);
    const frame = out.view(0);
    frames[index] = frame;
    return frame;
  }

  /** The frames of messages `[from, to)`, told as they are, as one chunk. */
  chunk(from: number, to: number): Uint8Array {
    if (to - from === 1) return this.frame(from, SAME);
    const key = `${from}:${to}`;
    let chunk = this.#chunks.get(key);
    if (chunk === undefined) {
      chunk = this.#writeChunk(from, to);
      this.#chunks.set(key, chunk);
    }
    return chunk;
  }

  /** The payload of one message, told as `view`. */
  payload(index: number, view: number): Uint8Array {
    return this.#payload(this.#run[index] as FramedMessage, view);
  }

  #writeChunk(from: number, to: number): Uint8Array {
    const frames = this.#framesOf(SAME);
    const messages = this.#run.slice(from, to);
    const out = new ByteWriter(
      messages.reduce((bytes, { payload }) => bytes + payload.length + FRAME_OVERHEAD_BYTES, 0),
    );
    for (let index = from; index < to; index++) {
      const known = frames[index];
      if (known === undefined) this.#write(out, index, SAME);
      else out.copy(known, 0, known.length);
    }
    return out.view(0);
  }

  #write(out: ByteWriter, index: number, view: number): void {
    const message = this.#run[index] as FramedMessage;
    const { messageId, timestamp, position } = message;
    const { dialect, subscriptionId } = this.#spec;
    const senderId = message.kind === 'published' ? message.senderId : undefined;
    const tail = { messageId, senderId, timestamp, position, subscriptionId };
    writeMessage(out, dialect, this.#head(eventOf(message, view)), this.#payload(message, view), tail);
  }

  #payload(message: FramedMessage, view: number): Uint8Array {
    const { mask, maxPayloadBytes } = this.#spec;
    if (message.kind === 'published' || message.row === null || (view === SAME && mask === null))
      return message.payload;
    const { entry, encoder } = message.row;
    const middle = middleOf(message, deliveredEvent(message.event, view));
    const out = new ByteWriter(message.payload.length + 64);
    if (view === SAME) encoder.writePayload(out, entry, middle, mask);
    else if (rowViewOf(view) === 'enter') encoder.writeEnter(out, entry, middle, mask);
    else encoder.writeLeave(out, entry, middle, mask);
    if (out.length > maxPayloadBytes) {
      out.length = 0;
      encoder.writeTruncated(out, entry, middle, rowViewOf(view), mask);
    }
    return out.view(0);
  }

  #framesOf(view: number): Uint8Array[] {
    let frames = this.#frames.get(view);
    if (frames === undefined) {
      frames = [];
      this.#frames.set(view, frames);
    }
    return frames;
  }

  #head(event: string): Uint8Array {
    let head = this.#heads.get(event);
    if (head === undefined) {
      head = messageHead(this.#spec.channelName, event);
      this.#heads.set(event, head);
    }
    return head;
  }
}

/** The event as it is delivered. */
export function eventOf(message: Pick<FramedMessage, 'kind' | 'event'>, view: number): string {
  return message.kind === 'published' ? message.event : deliveredEvent(message.event as RowEvent, view);
}

// Owns the bytes of a run of messages in one variant: the spelling of the channel and, where a frame has to
// name it, the subscription. Frames lie one behind the other, so that neighbours leave as one chunk.

import type { ChangeMessage } from '../changes/change-message.ts';
import type { GroupSpec } from '../hub/group-spec.ts';
import { ByteWriter } from '../protocol/byte-writer.ts';
import { messageHead, writeMessageFrame } from '../protocol/message-frame.ts';

/** What a frame has beside its payload: head, id, times, position. */
export const FRAME_OVERHEAD_BYTES = 260;

export class FrameVariant {
  readonly #out: ByteWriter;
  /** Where each frame ends; a frame starts where the one before it ends. */
  readonly #ends: number[] = [];

  /** Encodes every message of `run` once. */
  constructor(run: readonly ChangeMessage[], spec: Pick<GroupSpec, 'channelName' | 'subscriptionId'>) {
    this.#out = new ByteWriter(
      run.reduce((bytes, message) => bytes + message.payload.length + FRAME_OVERHEAD_BYTES, 0),
    );
    const heads = new Map<string, Uint8Array>();
    for (const message of run) {
      const tail = { ...tailOf(message), subscriptionId: spec.subscriptionId };
      writeMessageFrame(this.#out, headOf(heads, spec.channelName, message.event), message.payload, tail);
      this.#ends.push(this.#out.length);
    }
  }

  /** The frames of messages `[from, to)` as one chunk. */
  frames(from: number, to: number): Uint8Array {
    return this.#out.bytes.subarray(this.#ends[from - 1] ?? 0, this.#ends[to - 1] ?? 0);
  }
}

function tailOf({
  messageId,
  timestamp,
  position,
}: ChangeMessage): Pick<ChangeMessage, 'messageId' | 'timestamp' | 'position'> {
  return { messageId, timestamp, position };
}

function headOf(heads: Map<string, Uint8Array>, channelName: string, event: string): Uint8Array {
  let head = heads.get(event);
  if (head === undefined) {
    head = messageHead(channelName, event);
    heads.set(event, head);
  }
  return head;
}

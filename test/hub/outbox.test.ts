import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Outbox, type Sink } from '../../server/hub/outbox.ts';
import { until } from '../rig/until.ts';

const SLICE_BYTES = 256 * 1024;

/** A socket that takes `takes` writes before it is full; `drain` gives it room again. */
class TestSink implements Sink {
  readonly writes: Uint8Array[] = [];
  takes: number;

  constructor(takes = Number.POSITIVE_INFINITY) {
    this.takes = takes;
  }

  write(chunk: Uint8Array): boolean {
    this.writes.push(chunk);
    return --this.takes > 0;
  }

  get bytes(): Buffer {
    return Buffer.concat(this.writes);
  }
}

const chunk = (length: number, fill = 0): Uint8Array => new Uint8Array(length).fill(fill);

describe('an outbox', () => {
  it('writes several chunks at once, in their order', () => {
    const sink = new TestSink();
    const outbox = new Outbox(sink, () => 0);
    for (const fill of [1, 2, 3]) outbox.push(chunk(2, fill));
    outbox.flush();
    expect(sink.writes).toHaveLength(1);
    expect([...sink.bytes]).toEqual([1, 1, 2, 2, 3, 3]);
    expect(outbox.queuedBytes).toBe(0);
  });

  it('hands a chunk that is alone on as it is, shared with others', () => {
    const sink = new TestSink();
    const outbox = new Outbox(sink, () => 0);
    const shared = chunk(10);
    outbox.push(shared);
    outbox.flush();
    expect(sink.writes[0]).toBe(shared);
  });

  it('writes nothing more to a full socket, and counts what that holds', () => {
    const sink = new TestSink(1);
    const outbox = new Outbox(sink, () => 0);
    outbox.push(chunk(7));
    outbox.flush();
    outbox.push(chunk(5));
    outbox.flush();
    expect(sink.writes).toHaveLength(1);
    expect(outbox.queuedBytes).toBe(12);
    sink.takes = 2;
    outbox.drained();
    expect(outbox.queuedBytes).toBe(0);
    expect(sink.writes).toHaveLength(2);
  });

  it('leaves at most one slice in a full socket, so that a close frame is not far behind', () => {
    const sink = new TestSink(1);
    const outbox = new Outbox(sink, () => 0);
    for (let i = 0; i < 100; i++) outbox.push(chunk(10_000));
    outbox.flush();
    expect(sink.writes).toHaveLength(1);
    expect(sink.bytes.length).toBeLessThanOrEqual(SLICE_BYTES);
    expect(outbox.queuedBytes).toBe(1_000_000);
  });

  it('takes nothing after it was closed, and drops what it held', () => {
    const sink = new TestSink(1);
    const outbox = new Outbox(sink, () => 0);
    outbox.push(chunk(7));
    outbox.flush();
    outbox.push(chunk(5));
    outbox.close();
    outbox.push(chunk(5));
    outbox.drained();
    expect(sink.writes).toHaveLength(1);
    expect(outbox.queuedBytes).toBe(0);
  });

  it('tells when the socket last drained, and now while it is not full', () => {
    let now = 10;
    const sink = new TestSink(1);
    const outbox = new Outbox(sink, () => now);
    outbox.push(chunk(1));
    outbox.push(chunk(SLICE_BYTES));
    now = 20;
    expect(outbox.progressAt).toBe(20);
    outbox.flush();
    now = 30;
    expect(outbox.progressAt).toBe(20);
    sink.takes = 1;
    outbox.drained();
    now = 40;
    expect(outbox.progressAt).toBe(30);
  });

  it('gives every byte once and in order, whatever comes between', () => {
    const steps = fc.array(
      fc.oneof(
        fc.record({ kind: fc.constant('push' as const), size: fc.oneof(fc.nat(20), fc.nat(400_000)) }),
        fc.record({ kind: fc.constant('flush' as const), size: fc.constant(0) }),
        fc.record({ kind: fc.constant('drain' as const), size: fc.nat(3) }),
      ),
      { maxLength: 30 },
    );
    fc.assert(
      fc.property(steps, fc.nat(3), (taken, takes) => {
        const sink = new TestSink(takes + 1);
        const outbox = new Outbox(sink, () => 0);
        const pushed: Uint8Array[] = [];
        for (const [index, { kind, size }] of taken.entries()) {
          if (kind === 'flush') outbox.flush();
          else if (kind === 'push') {
            pushed.push(chunk(size, index));
            outbox.push(chunk(size, index));
          } else {
            sink.takes = size + 1;
            outbox.drained();
          }
        }
        const all = Buffer.concat(pushed);
        expect(all.subarray(0, sink.bytes.length).equals(sink.bytes)).toBe(true);
        sink.takes = Number.POSITIVE_INFINITY;
        outbox.drained();
        expect(sink.bytes.equals(all)).toBe(true);
        expect(outbox.queuedBytes).toBe(0);
      }),
    );
  });

  it('lets go of what was written, also while it never runs empty', async () => {
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    const sink: Sink = { write: () => false };
    const outbox = new Outbox(sink, () => 0);
    const first = new WeakRef(pushOne(outbox));
    pushOne(outbox);
    for (let i = 0; i < 100; i++) {
      pushOne(outbox);
      outbox.drained();
      expect(outbox.queuedBytes).toBeGreaterThan(0);
    }
    await until(
      () => {
        collect();
        return first.deref() === undefined;
      },
      { timeoutMs: 2_000 },
    );
  });

  function pushOne(outbox: Outbox): Uint8Array {
    const pushed = chunk(SLICE_BYTES - 10);
    outbox.push(pushed);
    return pushed;
  }
});

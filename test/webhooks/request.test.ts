// What a request carries, and when a failed one is made again.

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Webhook } from 'standardwebhooks';
import { describe, expect, it } from 'vitest';
import { VERSION } from '../../server/lib/version.ts';
import type { AttemptResult } from '../../server/webhooks/attempt-result.ts';
import { type LeasedRow, requestsOf } from '../../server/webhooks/due-request.ts';
import { headerSafe, requestHeaders } from '../../server/webhooks/request-headers.ts';
import { retryAfterMs, retryDelayMs } from '../../server/webhooks/retry-delay.ts';

const SECRETS = [1, 2].map((byte) => `whsec_${Buffer.alloc(32, byte).toString('base64')}`);
const NOW_MS = Date.now();

function leased(more: Partial<LeasedRow> = {}): LeasedRow {
  return {
    ...{ id: 1n, endpoint_id: 'e', message_id: 'm-1', channel_name: 'order:1', event_name: 'paid', attempts: 1 },
    ...{ body: Buffer.from('{"a":1}'), batch_id: null, url: 'https://example.com/', token: null, secrets: SECRETS },
    ...more,
  };
}

const headersOf = (rows: LeasedRow[]): Record<string, string>[] =>
  requestsOf(rows).map((request) => requestHeaders(request, 'Rowcast/1', NOW_MS));

describe('the headers of a request', () => {
  it('name event, channel and message twice, and the id a third time', () => {
    expect(headersOf([leased({ token: 't' })])[0]).toMatchObject({
      'content-type': 'application/json',
      'user-agent': 'Rowcast/1',
      'X-InsForge-Event': 'paid',
      'X-InsForge-Channel': 'order:1',
      'X-InsForge-Message-ID': 'm-1',
      'X-Rowcast-Event': 'paid',
      'X-Rowcast-Channel': 'order:1',
      'X-Rowcast-Message-ID': 'm-1',
      'webhook-id': 'm-1',
      'webhook-timestamp': String(Math.floor(NOW_MS / 1000)),
      authorization: 'Bearer t',
    });
  });

  it('are signed by both secrets while one is rotated, as standardwebhooks verifies', () => {
    const [headers = {}] = headersOf([leased()]);
    expect(headers['webhook-signature']?.split(' ')).toHaveLength(2);
    for (const secret of SECRETS) expect(new Webhook(secret).verify('{"a":1}', headers)).toEqual({ a: 1 });
    const other = `whsec_${Buffer.alloc(32, 3).toString('base64')}`;
    expect(() => new Webhook(other).verify('{"a":1}', headers)).toThrow('No matching signature');
  });

  it('hold nothing that a user wrote to break out of them', () => {
    expect(headerSafe('a\r\nb: ü%\u0000\u{1f600}~ \ud800')).toBe('a%0D%0Ab: %C3%BC%25%00%F0%9F%98%80~ %EF%BF%BD');
  });

  it('of a batch tell its id and size, and its body is an array of the members', () => {
    const rows = [leased({ batch_id: 'b' }), leased({ batch_id: 'b', body: Buffer.from('2') }), leased()];
    const [batch, single] = requestsOf(rows);
    expect(batch?.body.toString()).toBe('[{"a":1},2]');
    expect(single?.body.toString()).toBe('{"a":1}');
    const [headers = {}] = headersOf(rows);
    expect(headers).toMatchObject({ 'webhook-id': 'b', 'X-Rowcast-Batch-Size': '2' });
    expect(headers).not.toHaveProperty('X-InsForge-Event');
    expect(new Webhook(SECRETS[0] as string).verify('[{"a":1},2]', headers)).toEqual([{ a: 1 }, 2]);
  });

  it('say the version of package.json', async () => {
    const text = await readFile(join(import.meta.dirname, '..', '..', 'package.json'), 'utf8');
    expect(JSON.parse(text).version).toBe(VERSION);
  });
});

describe('the wait before the next attempt', () => {
  const rules = { initialMs: 2_000, maxMs: 300_000 };
  const waits = (more: Partial<AttemptResult>, random: number): number[] =>
    Array.from({ length: 10 }, (_, index) => retryDelayMs(failed(more), index + 1, rules, () => random) / 1000);

  it('doubles from 2 s to 5 min', () => {
    expect(waits({ status: 404 }, 1)).toEqual([2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
  });

  it('doubles from 4 s after a 5xx or without an answer', () => {
    const expected = [4, 8, 16, 32, 64, 128, 256, 300, 300, 300];
    expect(waits({ status: 503 }, 1)).toEqual(expected);
    expect(waits({ kind: 'timed_out', status: null }, 1)).toEqual(expected);
  });

  it('is drawn from the upper half', () => {
    expect(waits({ status: 404 }, 0).slice(0, 3)).toEqual([1, 2, 4]);
  });

  it('is what the receiver asked for where that is longer', () => {
    expect(waits({ status: 429, retryAfterMs: 10_000 }, 1).slice(0, 4)).toEqual([10, 10, 10, 16]);
  });

  it('reads seconds and dates, up to an hour', () => {
    const at = (ms: number): string => new Date(NOW_MS + ms).toUTCString();
    expect(retryAfterMs('120', NOW_MS)).toBe(120_000);
    expect(Math.abs((retryAfterMs(at(60_000), NOW_MS) ?? 0) - 60_000)).toBeLessThan(1_000);
    expect(retryAfterMs('86400', NOW_MS)).toBe(3_600_000);
    expect(retryAfterMs(at(-60_000), NOW_MS)).toBe(0);
    expect([retryAfterMs('soon', NOW_MS), retryAfterMs(undefined, NOW_MS)]).toEqual([undefined, undefined]);
  });
});

function failed(more: Partial<AttemptResult>): AttemptResult {
  return {
    ...{ kind: 'failed', status: null, error: 'x', responseHead: null, durationMs: 1, retryAfterMs: undefined },
    ...more,
  };
}

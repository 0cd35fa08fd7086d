import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseBound, parseTime } from '../../server/messages/history-bound.ts';
import { justAbove, justBelow, spanOf } from '../../server/messages/position-span.ts';
import { positionAt, positionBound, timeBound } from './history-stage.ts';

describe('a bound of history', () => {
  it.each([
    ['2024-01-15T10:30:00Z', '2024-01-15T10:30:00.0Z'],
    ['2024-01-15t10:30:00z', '2024-01-15T10:30:00.0Z'],
    ['2024-01-15T10:30:00.123456Z', '2024-01-15T10:30:00.123456Z'],
    ['2024-01-15T10:30+02:00', '2024-01-15T08:30:00.0Z'],
    ['2024-01-15T00:30:00.5-0130', '2024-01-15T02:00:00.5Z'],
    ['2024-12-31T23:30:00-01:00', '2025-01-01T00:30:00.0Z'],
    ['2024-02-29', '2024-02-29T00:00:00.0Z'],
    ['0001-01-01', '0001-01-01T00:00:00.0Z'],
    ['9999-12-31T23:59:59.999999Z', '9999-12-31T23:59:59.999999Z'],
  ])('%s is the time %s', (text, at) => {
    expect(parseBound(text)).toEqual({ kind: 'time', at });
  });

  it.each([
    '',
    'now',
    'yesterday',
    '-infinity',
    '2024-01-15 10:30:00Z',
    '2024-01-15T10:30:00',
    '2024-01-15T10:30:00 02:00',
    '2024-02-30T00:00:00Z',
    '2023-02-29',
    '2024-13-01',
    '2024-01-15T24:00:00Z',
    '2024-01-15T10:60:00Z',
    '2024-01-15T10:30:60Z',
    '2024-01-15T10:30:00.1234567Z',
    '2024-01-15T10:30:00+16:00',
    '2024-01-15T10:30:00+01:60',
    '0000-01-01',
    '0001-01-01T00:00:00+01:00',
    '9999-12-31T23:59:59-01:00',
    '12024-01-01',
    '1705314600',
    '660e8400-e29b-41d4-a716-446655440000',
    '6B03FEDC-00000000018D3490-00000001',
    '2024-01-15T10:30:00Z\n',
  ])('%j is none', (text) => {
    expect(parseBound(text)).toBeUndefined();
  });

  it('is a position where it looks like one', () => {
    expect(parseBound(positionAt(7))).toEqual(positionBound(positionAt(7)));
    expect(parseTime(positionAt(7))).toBeUndefined();
  });
});

describe('the span of positions', () => {
  const place = fc.nat({ max: 40 });
  const bound = fc.option(place, { nil: undefined });

  it('holds exactly what lies behind since, before until, behind the last stretch and in the range', () => {
    fc.assert(
      fc.property(
        bound,
        bound,
        bound,
        fc.option(fc.tuple(place, place), { nil: undefined }),
        fc.boolean(),
        place,
        check,
      ),
      { numRuns: 2_000 },
    );
  });

  function check(
    since: number | undefined,
    until: number | undefined,
    behind: number | undefined,
    range: [number, number] | undefined,
    isAscending: boolean,
    asked: number,
  ): void {
    const span = spanOf(
      {
        since: since === undefined ? timeBound('2024-01-01T00:00:00Z') : positionBound(positionAt(since)),
        until: until === undefined ? undefined : positionBound(positionAt(until)),
      },
      range && { first: positionAt(range[0]), last: positionAt(range[1]) },
      { order: isAscending ? 'asc' : 'desc', behind: behind === undefined ? undefined : positionAt(behind) },
    );
    const position = positionAt(asked);
    const isWithin =
      (span.low === undefined || position >= span.low) && (span.high === undefined || position <= span.high);
    const isMeant =
      (since === undefined || asked > since) &&
      (until === undefined || asked < until) &&
      (behind === undefined || (isAscending ? asked > behind : asked < behind)) &&
      (range === undefined || (asked >= range[0] && asked <= range[1]));
    expect(isWithin).toBe(isMeant);
  }

  it('has ends that lie between neighbours, whatever the last digit', () => {
    for (const index of ['00000000', '00000009', '0000000a', '0000000f', 'ffffffff']) {
      const position = `65a00000-0000000000000040-${index}`;
      expect(justBelow(position) < position && position < justAbove(position)).toBe(true);
    }
    expect(justAbove('65a00000-0000000000000040-00000009') < '65a00000-0000000000000040-0000000a').toBe(true);
    expect(justBelow('65a00000-0000000000000040-0000000a') > '65a00000-0000000000000040-00000009').toBe(true);
    expect(justBelow('65a00000-0000000000000040-00000010') > '65a00000-0000000000000040-0000000f').toBe(true);
  });
});

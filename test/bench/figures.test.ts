import { expect, it } from 'vitest';
import { median, number, percentile } from '../../bench/figures.ts';
import { ratioOf } from '../../bench/report.ts';

it('the median of an even count lies between the two middle values', () => {
  expect(median([4, 1, 3, 2])).toBe(2.5);
  expect(median([3, 1, 2])).toBe(2);
  expect(() => median([])).toThrow();
});

it('a percentile is the smallest value that so many lie at or below', () => {
  const values = Array.from({ length: 100 }, (_, index) => 100 - index);
  expect(percentile(values, 50)).toBe(50);
  expect(percentile(values, 99)).toBe(99);
  expect(percentile([7], 99)).toBe(7);
  expect(() => percentile([], 50)).toThrow();
});

it('a ratio compares neighbours, so that a slow moment of the machine counts for both', () => {
  expect(ratioOf([2, 40, 2], [1, 20, 1])).toBe(2);
});

it('numbers keep three digits and no more', () => {
  expect([number(2.34567), number(23.4567), number(23_456.7)]).toEqual(['2.35', '23.5', '23,457']);
});

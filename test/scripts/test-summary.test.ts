import { expect, it } from 'vitest';
import { summarise } from '../../scripts/test-summary.mjs';

const file = (status: string, ...tests: string[]) => ({
  status,
  assertionResults: tests.map((each) => ({ status: each })),
});
const report = (...testResults: object[]): string => JSON.stringify({ testResults });

it('counts tests, and leaves out what was skipped', () => {
  expect(summarise(report(file('passed', 'passed', 'passed', 'pending'), file('failed', 'failed', 'passed')), 1)).toBe(
    '3 passed, 1 failed',
  );
});

it('counts a file that fails as a whole', () => {
  expect(summarise(report(file('failed', 'passed'), file('failed')), 1)).toBe('1 passed, 2 failed');
});

it('counts a run that failed before or after its tests', () => {
  expect(summarise('', 2)).toBe('0 passed, 1 failed');
  expect(summarise(report(file('passed', 'passed')), 1)).toBe('1 passed, 1 failed');
});

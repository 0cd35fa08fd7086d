// Owns the label that a close code has in metrics: peers may send any code, labels must be few.

import { CLOSE_CODES } from '../protocol/close-codes.ts';

const KNOWN: ReadonlySet<number> = new Set([
  1000,
  1001,
  1002,
  1005,
  1006,
  1007,
  1009,
  ...Object.values(CLOSE_CODES).map(({ code }) => code),
]);

/** The code as text, or `other`. */
export function closeLabel(code: number): string {
  return KNOWN.has(code) ? String(code) : 'other';
}

// Owns the lines of a run: one a figure, in columns, printed as they come and kept for whoever asks.

import { median, megabytes, number } from './figures.ts';

export type Figure = {
  readonly bench: string;
  /** What was measured, e.g. `one transaction · raw reader`. */
  readonly what: string;
  /** Units a second. */
  readonly rate?: number | undefined;
  /** Of the measured process, microseconds a unit. */
  readonly cpuMicros?: number | undefined;
  readonly unit?: string | undefined;
  readonly p50Ms?: number | undefined;
  readonly p99Ms?: number | undefined;
  /** The most memory the measured process had. */
  readonly rssBytes?: number | undefined;
  /** To the baseline of the same run, already in words: `0.98 × the raw reader's time`. */
  readonly ratio?: string | undefined;
  readonly bar?: { readonly text: string; readonly isMet: boolean } | undefined;
};

export class Report {
  readonly figures: Figure[] = [];
  readonly #print: (line: string) => void;

  constructor(print: (line: string) => void) {
    this.#print = print;
  }

  add(figure: Figure): void {
    this.figures.push(figure);
    this.#print(lineOf(figure));
  }

  /** A remark between the lines. */
  note(text: string): void {
    this.#print(text);
  }
}

/** `1.02 ×`: the median of the ratios of runs that were neighbours, which share the machine's mood. */
export function ratioOf(subject: readonly number[], baseline: readonly number[]): number {
  return median(subject.map((value, index) => value / (baseline[index] as number)));
}

function lineOf(figure: Figure): string {
  const { bench, what, rate, cpuMicros, p50Ms, p99Ms, rssBytes, ratio, bar } = figure;
  const unit = figure.unit ?? 'row';
  const cells = [
    bench.padEnd(8),
    what.padEnd(44),
    cell(rate, (value) => `${number(value)} ${unit}s/s`, 20),
    cell(cpuMicros, (value) => `${number(value)} µs CPU/${unit}`, 22),
    cell(p50Ms, (value) => `p50 ${number(value)} ms`, 14),
    cell(p99Ms, (value) => `p99 ${number(value)} ms`, 14),
    cell(rssBytes, megabytes, 8),
  ];
  const ending = [ratio, bar && `${bar.text}: ${bar.isMet ? 'met' : 'MISSED'}`].filter(Boolean).join(' · ');
  return `${cells.filter((text) => text !== '').join('  ')}  ${ending}`.trimEnd();
}

function cell(value: number | undefined, write: (value: number) => string, width: number): string {
  return value === undefined ? '' : write(value).padStart(width);
}

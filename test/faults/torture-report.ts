// Owns the outcome of the torture: the sums of all verdicts, whether it failed, and the lines that are printed.

import type { Findings } from './torture-judge.ts';

export type TortureOutcome = {
  readonly committed: number;
  readonly deliveries: number;
  readonly disputes: readonly string[];
  readonly complaints: readonly string[];
  readonly faults: ReadonlyMap<string, number>;
  /** Epochs that were begun, and how many of them a fault explains. */
  readonly epochs: { readonly begun: number; readonly explained: number };
  readonly longestRecoveryMs: number;
  /** Rows in history. */
  readonly history: number;
  readonly findings: readonly Findings[];
};

export type TortureReport = {
  /** What is wrong; empty if all promises were kept. */
  readonly violations: readonly string[];
  readonly lines: readonly string[];
  readonly deliveries: number;
  readonly faults: number;
};

const SAMPLES = 12;
const SAMPLE_LENGTH = 900;

export function reportOf(outcome: TortureOutcome): TortureReport {
  const { findings, disputes, complaints, epochs } = outcome;
  const sum = (count: (one: Findings) => number): number => findings.reduce((total, one) => total + count(one), 0);
  const totals = {
    lost: sum(({ lost }) => lost),
    'duplicated without the same id': sum(({ duplicated }) => duplicated) + disputes.length,
    'out of order': sum(({ disordered }) => disordered),
    wrong: sum(({ wrong }) => wrong),
  };
  const faults = [...outcome.faults.values()].reduce((total, count) => total + count, 0);
  const kinds = [...outcome.faults].sort(([, a], [, b]) => b - a).map(([name, count]) => `${count} × ${name}`);
  const told = toldOf(findings);
  const counted = Object.entries(totals).map(([name, count]) => `${count} ${name}`);
  const violations = [
    ...counted.filter((text) => !text.startsWith('0 ')),
    ...told.filter(([what]) => !isExplained(what, epochs)).map(([what, n]) => `told without a cause: ${n} × ${what}`),
    ...disputes,
    ...complaints.slice(0, 20),
    ...(epochs.begun > epochs.explained ? [`${epochs.begun} epochs, ${epochs.explained} of them explained`] : []),
    ...historyViolations(outcome),
  ];
  return {
    violations: violations.length === 0 ? [] : [...violations, ...samplesOf(findings)],
    lines: [
      `${outcome.committed} changes, ${outcome.deliveries} deliveries to ${findings.length} subscriptions`,
      counted.join(', '),
      `${sum(({ repeated }) => repeated)} came again with the same id and position, to who asked from further back`,
      [`${sum(({ recovered }) => recovered)} resumes recovered`, ...told.map(([what, n]) => `${n} × ${what}`)].join(
        ', ',
      ),
      `${faults} faults, the longest until all was well again ${Math.round(outcome.longestRecoveryMs)} ms: ${kinds.join(', ')}`,
      `epochs: ${epochs.begun}, history ${outcome.history} rows`,
    ],
    deliveries: outcome.deliveries,
    faults,
  };
}

function samplesOf(findings: readonly Findings[]): string[] {
  return findings.flatMap(({ samples }) => samples.map((text) => text.slice(0, SAMPLE_LENGTH))).slice(0, SAMPLES);
}

function toldOf(findings: readonly Findings[]): [string, number][] {
  const told = new Map<string, number>();
  for (const one of findings) for (const [what, n] of one.told) told.set(what, (told.get(what) ?? 0) + n);
  return [...told];
}

// Everything is in history, so that a loss is right to be told only where an epoch ended.
function isExplained(what: string, { explained }: TortureOutcome['epochs']): boolean {
  return explained > 1 && what.endsWith('epoch_changed');
}

// While one epoch lasts history holds everything.
function historyViolations({ epochs, committed, history }: TortureOutcome): string[] {
  return epochs.explained > 1 || history === committed ? [] : [`history holds ${history} of ${committed}`];
}

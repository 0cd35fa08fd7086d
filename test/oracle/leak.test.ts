// Random tables, policies, users and writers over the whole server: every subscriber gets what a SELECT would
// have shown of each row image, and nothing else. Bugs planted on purpose are found.

import { expect, it } from 'vitest';
import { newestPostgres, type TestPostgres, testServers } from '../rig/postgres.ts';
import { figure, isSoak, scaled, seed } from '../rig/scale.ts';
import { type CaseReport, runLeakCase } from './leak-case.ts';
import { PLANTED_BUGS } from './planted-bug.ts';
import { countByKind, type Violation } from './violation.ts';

const CASES = scaled(2, 30);
/** Cases that may follow while too few decisions say yes, or too few say no. */
const MORE_CASES = 3;
const SHARE = { least: 0.3, most: 0.8 };
/** Rows that may be missing behind a `gap`, as a part of the frames. */
const MOST_WITHHELD = 0.05;
const SHAPE = { rounds: 2, transactions: scaled(10, 25), upheavals: scaled(5, 15) };
const TIMEOUT_MS = scaled(180_000, 3_600_000);
const SERVERS = isSoak ? testServers() : [newestPostgres()];
/** Of a case; the others are most often the same. */
const SHOWN = 4;

it.each(SERVERS.map((postgres) => [postgres.version, postgres] as const))(
  'every subscriber gets exactly what it may see, on PostgreSQL %i',
  async (version, postgres) => {
    const total = await runCases(postgres);
    figure(
      `leak oracle: PostgreSQL ${version}, seed ${seed}, ${total.cases} cases, ${total.changes} changes, ${total.decisions} ` +
        `decisions, ${Math.round(total.share * 100)} % true, ${total.frames} frames and ${total.copies} copies checked, ` +
        `${total.gaps} gaps with ${total.withheld} rows, ${total.violations.length} violations`,
    );
    expect(countByKind(total.violations)).toEqual({});
    expect(total.withheld).toBeLessThan(total.frames * MOST_WITHHELD);
    expect(total.copies).toBeGreaterThan(0);
    expect(total.share).toBeGreaterThanOrEqual(SHARE.least);
    expect(total.share).toBeLessThanOrEqual(SHARE.most);
  },
  TIMEOUT_MS,
);

it.each(PLANTED_BUGS.map((bug) => [bug.what, bug] as const))(
  'the oracle finds %s',
  async (what, bug) => {
    // It ends with the first leak.
    const shape = { rounds: 16, transactions: 6, upheavals: 0 };
    const { violations } = await runLeakCase({ postgres: newestPostgres(), seed, ...shape, bug });
    figure(`planted ${what}: seed ${seed}, found ${JSON.stringify(countByKind(violations))}`);
    expect(countByKind(violations).leak ?? 0).toBeGreaterThan(0);
  },
  TIMEOUT_MS,
);

type Total = Omit<CaseReport, 'seed'> & { readonly cases: number; readonly share: number };

async function runCases(postgres: TestPostgres): Promise<Total> {
  const reports: CaseReport[] = [];
  let total = sumUp(reports);
  while (reports.length < CASES || (isOneSided(total) && reports.length < CASES + MORE_CASES)) {
    const report = await runLeakCase({ postgres, seed: seed + reports.length, ...SHAPE });
    for (const { text } of report.violations.slice(0, SHOWN)) figure(text);
    reports.push(report);
    total = sumUp(reports);
  }
  return total;
}

function isOneSided({ share }: Total): boolean {
  return share < SHARE.least || share > SHARE.most;
}

function sumUp(reports: readonly CaseReport[]): Total {
  const sum = (of: (report: CaseReport) => number): number => reports.reduce((all, report) => all + of(report), 0);
  const violations: Violation[] = reports.flatMap((report) => report.violations);
  const [decisions, visible] = [sum((report) => report.decisions), sum((report) => report.visible)];
  return {
    cases: reports.length,
    violations,
    decisions,
    visible,
    share: visible / Math.max(1, decisions),
    changes: sum(({ changes }) => changes),
    frames: sum(({ frames }) => frames),
    copies: sum(({ copies }) => copies),
    gaps: sum(({ gaps }) => gaps),
    withheld: sum(({ withheld }) => withheld),
  };
}

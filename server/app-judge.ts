// The composition root, its judge of rows: the calls, the rules and the bounds that delivery judges by.

import type { Parts } from './app-parts.ts';
import type { Database } from './db/pools.ts';
import type { Logger } from './lib/logger.ts';
import { JudgeCall } from './policies/judge-call.ts';
import type { JudgeCounters } from './policies/judge-settings.ts';
import { PatientCall } from './policies/patient-call.ts';
import { Quarantine } from './policies/quarantine.ts';
import { RaisedLog } from './policies/raised-log.ts';
import { RowJudge } from './policies/row-judge.ts';
import { RulesCache } from './policies/rules-cache.ts';
import { Suspects } from './policies/suspects.ts';
import { TableRulesStore } from './policies/table-rules-store.ts';
import type { Metrics } from './stats/metrics.ts';

/** Bounds that are no settings: nobody has had a reason to change them. */
const MAX_PAIRS = 20_000;
const CALL_BUDGET_MS = 250;
const PATIENCE_MS = 3_000;
const TELL_EVERY_MS = 60_000;
const FIRST_QUARANTINE_MS = 10_000;
const LONGEST_QUARANTINE_MS = 10 * 60_000;
const QUARANTINED_OF_A_ROLE = 3;

/** Builds what all judges of rows know of policies that took too long. */
export function buildQuarantine(metrics: Metrics): Quarantine {
  const quarantine = new Quarantine({
    initialMs: FIRST_QUARANTINE_MS,
    maxMs: LONGEST_QUARANTINE_MS,
    groupAfter: QUARANTINED_OF_A_ROLE,
    now: () => performance.now(),
  });
  metrics.beforeScrape(() => metrics.quarantined.set(quarantine.size));
  return quarantine;
}

/** Builds a judge of rows over `pool`, of the policy login; the rules are read as the server's own. */
export function buildRowJudge(
  { options, database, quarantine, metrics }: Pick<Parts, 'options' | 'database' | 'quarantine' | 'metrics'>,
  { pool }: Pick<Database, 'pool'>,
): RowJudge {
  const { config, log } = options;
  const now = (): number => performance.now();
  const call = new JudgeCall(pool);
  return new RowJudge({
    call: new PatientCall({ call, patienceMs: PATIENCE_MS, now }),
    rules: new RulesCache(new TableRulesStore(database.pool, config.auth.roles), now),
    quarantine,
    suspects: new Suspects(),
    settings: { maxPairs: MAX_PAIRS, budgetMs: CALL_BUDGET_MS },
    counters: countersOf(metrics),
    raised: raisedLog(call, now, log),
    now,
    log,
  });
}

function raisedLog(call: JudgeCall, now: () => number, log: Logger): RaisedLog {
  return new RaisedLog({ call, tellEveryMs: TELL_EVERY_MS, now, log });
}

function countersOf(metrics: Metrics): JudgeCounters {
  return {
    judged: (pairs, ms) => {
      metrics.judgeCalls.inc();
      metrics.judgedPairs.inc(pairs);
      metrics.judgeSeconds.inc(ms / 1000);
    },
    raised: (rows) => metrics.policyErrors.inc(rows),
    quarantined: () => metrics.quarantines.inc(),
  };
}

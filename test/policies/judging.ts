// Owns a judge of rows over a real database and the real policy login, without a stream: images are given as
// the texts of columns, as the stream would give them.

import { settlePolicyLogin } from '../../server/db/policy-login.ts';
import { type Database, openPool } from '../../server/db/pools.ts';
import { must } from '../../server/lib/assert.ts';
import { textArrayLiteral } from '../../server/policies/array-literal.ts';
import { JudgeCall } from '../../server/policies/judge-call.ts';
import { PatientCall } from '../../server/policies/patient-call.ts';
import { Quarantine } from '../../server/policies/quarantine.ts';
import { RaisedLog } from '../../server/policies/raised-log.ts';
import { makeTableFilter } from '../../server/policies/row-filter.ts';
import { RowJudge } from '../../server/policies/row-judge.ts';
import { type ImageSet, type Viewer, type ViewerVerdict, verdictAt } from '../../server/policies/row-verdict.ts';
import { RulesCache } from '../../server/policies/rules-cache.ts';
import { Suspects } from '../../server/policies/suspects.ts';
import { TableRulesStore } from '../../server/policies/table-rules-store.ts';
import { parseWhere } from '../../server/protocol/where.ts';
import { collectingLog, type MigratedDatabase, migratedDatabase } from '../db/migrated.ts';
import { STANDARD } from '../rig/migrated-template.ts';
import type { TestPostgres } from '../rig/postgres.ts';

export type Texts = Readonly<Record<string, string | null>>;
export type Asker = { readonly role: string | null; readonly claims?: object; readonly where?: unknown };

export interface Judging extends AsyncDisposable {
  readonly migrated: MigratedDatabase;
  readonly log: ReturnType<typeof collectingLog>;
  readonly counts: { calls: number; pairs: number; raised: number; quarantined: number };
  readonly judge: RowJudge;
  /** One row of 0, 1 and 2 for each asker: what each sees of each image. All images have the same columns. */
  ask(table: string, images: readonly Texts[], askers: readonly Asker[], xids?: readonly number[]): Promise<number[][]>;
  /** The same, and for whom rows may be missing. */
  askAll(
    table: string,
    images: readonly Texts[],
    askers: readonly Asker[],
  ): Promise<{ seen: number[][]; withheld: boolean[] }>;
  sql(text: string): Promise<unknown>;
  /** Makes a table with row security that `anon` and `authenticated` may read; `T` in statements stands for its name. */
  table(columns: string, ...statements: string[]): Promise<string>;
}

export type JudgingOptions = { readonly timeoutMs?: number; readonly maxPairs?: number; readonly patienceMs?: number };

export async function openJudging(postgres: TestPostgres, options: JudgingOptions = {}): Promise<Judging> {
  const migrated = await migratedDatabase(postgres);
  const log = collectingLog();
  const settled = await settlePolicyLogin({
    pool: migrated.db.pool,
    databaseUrl: migrated.database.url,
    policyUrl: undefined,
    roles: STANDARD.appRoles,
    log,
  });
  if (!settled.ok) throw new Error(settled.message);
  const policies = openPool({
    connectionString: settled.url,
    applicationName: 'judging',
    max: 2,
    statementTimeoutMs: options.timeoutMs ?? 2_000,
    unpinned: ['TimeZone'],
    log,
  });
  const counts = { calls: 0, pairs: 0, raised: 0, quarantined: 0 };
  let tables = 0;
  const judge = rowJudge({ migrated, policies, log, counts, options });
  return {
    migrated,
    log,
    counts,
    judge,
    ask: async (table, images, askers, xids = []) => (await ask(migrated, judge, { table, images, askers, xids })).seen,
    askAll: (table, images, askers) => ask(migrated, judge, { table, images, askers, xids: [] }),
    sql: (text) => migrated.db.pool.query(text),
    table: async (columns, ...statements) => {
      const name = `t${++tables}`;
      const all = [
        `create table T (${columns})`,
        'alter table T enable row level security',
        'grant select on T to anon, authenticated',
        ...statements,
      ];
      await migrated.db.pool.query(all.join(';\n').replaceAll(/\bT\b/g, name));
      return name;
    },
    [Symbol.asyncDispose]: async () => {
      await policies.close();
      await migrated.close();
    },
  };
}

type Made = {
  readonly migrated: MigratedDatabase;
  readonly policies: Database;
  readonly log: ReturnType<typeof collectingLog>;
  readonly counts: Judging['counts'];
  readonly options: JudgingOptions;
};

function rowJudge({ migrated, policies, log, counts, options }: Made): RowJudge {
  const now = (): number => performance.now();
  const call = new JudgeCall(policies.pool);
  return new RowJudge({
    call: new PatientCall({ call, patienceMs: options.patienceMs ?? 2_000, now }),
    rules: new RulesCache(new TableRulesStore(migrated.db.pool, STANDARD.appRoles), now),
    quarantine: new Quarantine({ initialMs: 60_000, maxMs: 60_000, groupAfter: 3, now }),
    suspects: new Suspects(),
    settings: { maxPairs: options.maxPairs ?? 20_000, budgetMs: 250 },
    counters: {
      judged: (pairs) => {
        counts.calls += 1;
        counts.pairs += pairs;
      },
      raised: (rows) => {
        counts.raised += rows;
      },
      quarantined: () => {
        counts.quarantined += 1;
      },
    },
    raised: new RaisedLog({ call, tellEveryMs: 60_000, now, log }),
    now,
    log,
  });
}

type Question = {
  readonly table: string;
  readonly images: readonly Texts[];
  readonly askers: readonly Asker[];
  readonly xids: readonly number[];
};

async function ask(migrated: MigratedDatabase, judge: RowJudge, question: Question) {
  const { table, images, askers, xids } = question;
  const rows = await migrated.sql<{ oid: number }>('select $1::regclass::oid as oid', [table]);
  const columns = await columnsOf(migrated, rows[0]?.oid ?? 0, Object.keys(images[0] ?? {}));
  const viewers = askers.map(viewerOf);
  const set = imageSet(images);
  const tables = [{ version: { columns }, oid: rows[0]?.oid ?? 0, sets: [set], viewers }];
  const [verdicts] = await judge.judge(tables, xids, new AbortController().signal);
  const of = (key: string): ViewerVerdict => must(verdicts?.get(key), 'a verdict');
  return {
    seen: viewers.map(({ key }) => images.map((_, index) => verdictAt(of(key).sets[0] ?? 0, index))),
    withheld: viewers.map(({ key }) => of(key).isWithheld),
  };
}

/** Of the images, as the stream would describe them, in the order of the table. */
async function columnsOf(migrated: MigratedDatabase, oid: number, names: readonly string[]) {
  return migrated.sql<{ name: string; typeOid: number }>(
    `select attname::text as name, atttypid as "typeOid" from pg_attribute
     where attrelid = $1 and attname = any ($2) order by attnum`,
    [oid, names],
  );
}

function viewerOf({ role, claims = {}, where }: Asker, index: number): Viewer {
  const parsed = where === undefined ? undefined : parseWhere(where);
  if (parsed?.ok === false) throw new Error(parsed.message);
  const withRole = { ...claims, role };
  const filter = makeTableFilter(parsed?.where ?? null, null);
  return { key: String(index), role, classKey: JSON.stringify(withRole), claims: withRole, filter };
}

function imageSet(images: readonly Texts[]): ImageSet {
  const places = Object.keys(images[0] ?? {});
  const literal = (image: Texts, needed: ReadonlySet<string>): string =>
    textArrayLiteral(places.map((name) => (needed.has(name) ? (image[name] ?? null) : null)));
  return {
    presence: places.join(),
    places,
    size: images.length,
    isCut: false,
    literals: (needed) => images.map((image) => literal(image, needed)),
  };
}

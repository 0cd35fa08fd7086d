// Values of every common type arrive in the one JSON form of protocol.md, and history gives back their text.

import fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeEachPostgres } from '../rig/postgres.ts';
import { until } from '../rig/until.ts';
import { type Rule, SAMPLES, TYPE_SETUP, tableOf } from './common-types.ts';
import { RANDOM_COLUMNS, RANDOM_DEFINITIONS, RANDOM_ROW, RANDOM_SETUP } from './random-values.ts';
import { startTestApp, type TestApp } from './test-app.ts';
import type { ChangeFrame, TestClient } from './test-client.ts';

const RANDOM_ROWS = 150;

const ROWS = Math.max(...SAMPLES.map(({ values }) => values.length));
const SQL = `
  ${TYPE_SETUP}
  ${tableOf('samples', SAMPLES)}
  ${RANDOM_SETUP}
  create table random_rows (id int primary key, ${RANDOM_DEFINITIONS});
  create extension hstore;
  create table settings (id int primary key, entries hstore);
  create table documents (id int primary key, doc json, note text);
  select realtime.watch('samples'), realtime.watch('random_rows'), realtime.watch('documents'), realtime.watch('settings');`;

/** A row of the samples: their value at `at`, or null where they have no more. */
function insertSample(at: number): string {
  const values = SAMPLES.map(({ type, values }) => (values[at] === undefined ? 'null' : `(${values[at]})::${type}`));
  return `insert into samples values (${at}, ${values.join(', ')})`;
}

describeEachPostgres('a value', (postgres) => {
  let app: TestApp;
  let client: TestClient;
  let changes: ChangeFrame[];

  beforeAll(async () => {
    app = await startTestApp(postgres, { sql: SQL });
    client = await app.client();
    await client.subscribe('db:samples');
    await pinned(app);
    for (let at = 0; at < ROWS; at++) await app.database.query(insertSample(at));
    changes = await client.received(ROWS);
  });
  afterAll(() => app[Symbol.asyncDispose]());

  it.each(SAMPLES.map(({ type, rule }, index) => ({ type, rule, index })))(
    'of type $type arrives as to_json prints it, or as the rule for its type says',
    async ({ rule, index }) => {
      const expected = await app.database.query<{ id: number; json: string | null }>(
        `select id, to_json(c${index})::text as json from samples order by id`,
      );
      for (const { id, json } of expected) {
        expect(changes[id]?.payload.new?.[`c${index}`]).toEqual(parsed(json, rule));
      }
    },
  );

  it('of any content arrives so', async () => {
    const seed = Math.floor(Math.random() * 2 ** 31);
    const rows = fc.sample(RANDOM_ROW, { numRuns: RANDOM_ROWS, seed }).map((row, id) => ({ ...row, id }));
    const watcher = await app.client();
    await watcher.subscribe('db:random_rows');
    await app.database.query(
      'insert into random_rows select * from json_populate_recordset(null::random_rows, $1::json)',
      [JSON.stringify(rows)],
    );
    const arrived = await watcher.received(RANDOM_ROWS);
    const columns = RANDOM_COLUMNS.map(([type], index) => ({ type, index }));
    const expected = await app.database.query<Record<string, string | null>>(
      `select ${columns.map(({ index }) => `to_json(c${index})::text as c${index}`).join(', ')} from random_rows order by id`,
    );
    for (const { type, index } of columns) {
      const got = arrived.map(({ payload }) => payload.new?.[`c${index}`]);
      const wanted = expected.map((row) => parsed(row[`c${index}`] ?? null, RANDOM_COLUMNS[index]?.[2]));
      expect({ type, seed, values: got }).toEqual({ type, seed, values: wanted });
    }
  });

  it.each([
    ['samples', SAMPLES.map(({ type }) => type), ROWS],
    ['random_rows', RANDOM_COLUMNS.map(([type]) => type), RANDOM_ROWS],
  ] as const)(
    'is in history so that payload and images give back its exact text, and whether it is null: %s',
    async (table, types, count) => {
      const changes = `select from realtime.changes where relation = '${table}'`;
      await until(async () => (await app.database.query(changes)).length === count);
      for (const [index, type] of types.entries()) {
        const differing = await differingInHistory(app, table, `c${index}`, type);
        expect({ type, differing }).toEqual({ type, differing: [] });
      }
    },
  );

  it('of a type that an extension casts to json arrives as its text', async () => {
    const watcher = await app.client();
    await watcher.subscribe('db:settings');
    await app.database.query(`insert into settings values (1, 'a=>1, b=>null')`);
    const [change] = await watcher.received(1);
    expect(change?.payload.new).toEqual({ id: 1, entries: '"a"=>"1", "b"=>NULL' });
  });

  it('of type json that jsonb cannot hold arrives, and its payload is in history as text', async () => {
    await app.database.query(
      `insert into documents values (1, '{"a":"\\u0000"}', 'x'), (2, '1e999999', 'y'), (3, '{}', 'z')`,
    );
    const watcher = await app.client();
    await watcher.subscribe('db:documents');
    await app.database.query(`update documents set note = 'seen' where id = 1`);
    const [change] = await watcher.received(1);
    expect(change?.payload.new).toEqual({ id: 1, doc: { a: '\0' }, note: 'seen' });
    const rows = await until(async () => {
      const found = await app.database.query<{ payload: Record<string, unknown>; image: Record<string, string> }>(
        `select payload, new_image as image from realtime.changes where relation = 'documents' order by position`,
      );
      return found.length === 4 ? found : undefined;
    });
    expect(rows.map(({ payload }) => Object.keys(payload).includes('text'))).toEqual([true, true, false, true]);
    expect(JSON.parse(String(rows[3]?.payload.text))).toEqual(change?.payload);
    expect(rows.map(({ image }) => image.doc)).toEqual(['{"a":"\\u0000"}', '1e999999', '{}', '{"a":"\\u0000"}']);
  });

  it('of type json that is nested too deep for history arrives, and holds up nothing', async () => {
    const watcher = await app.client();
    await watcher.subscribe('db:documents');
    const deepest = await insertDeepestJson(app);
    await app.database.query(`insert into documents values (5, '1', 'after')`);
    const changes = await watcher.received(2);
    expect(JSON.stringify(changes[0]?.payload.new?.doc)).toBe(nested(deepest));
    const payloads = await until(async () => {
      const rows = await app.database.query<{ text: string }>(
        `select payload ->> 'text' as text from realtime.changes where relation = 'documents' order by position desc limit 2`,
      );
      return rows[0]?.text === null ? rows : undefined;
    });
    expect(payloads[1]?.text).toContain(nested(deepest));
  });
});

/** Inserts a JSON value that is nested as deep as the stack of PostgreSQL allows. Returns its depth. */
async function insertDeepestJson({ database }: TestApp): Promise<number> {
  const works = (sql: string, depth: number): Promise<boolean> =>
    database
      .query(sql, [nested(depth)])
      .then(() => true)
      .catch(() => false);
  let [fits, fails] = [100, 100_000];
  while (fails - fits > 1) {
    const depth = (fits + fails) >> 1;
    if (await works('select $1::json', depth)) fits = depth;
    else fails = depth;
  }
  while (!(await works(`insert into documents values (4, $1, 'deep')`, fits))) fits--;
  return fits;
}

const nested = (depth: number): string => '['.repeat(depth) + ']'.repeat(depth);

/** The rows whose text in `column` is not what payload and image give back. */
function differingInHistory({ database }: TestApp, table: string, column: string, type: string): Promise<object[]> {
  return database.query(
    `select s.id, ${column}::text as stored, h.restored
     from ${table} as s
     join realtime.changes as c on c.relation = '${table}' and (c.payload -> 'new' ->> 'id')::int = s.id
     cross join lateral (select case
       when c.new_image ? '${column}' then c.new_image ->> '${column}'
       else c.payload -> 'new' ->> '${column}' end as restored) as h
     where (h.restored)::${type}::text is distinct from s.${column}::text
       or not (c.payload -> 'new' ? '${column}')`,
  );
}

/** The session of the test reads what the server writes. */
async function pinned({ database }: TestApp): Promise<void> {
  await database.query(`set timezone = 'UTC'; set extra_float_digits = 3; set lc_monetary = 'C'`);
}

function parsed(json: string | null, rule: Rule = (text) => text): unknown {
  return json === null ? null : JSON.parse(rule(json));
}

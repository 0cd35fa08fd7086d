// Owns the live copy against a whole server: whatever is written, cut or restarted, the copy equals what a SELECT under
// its role shows.

import { afterAll, beforeAll, expect, it } from 'vitest';
import {
  createClient,
  type LiveTable,
  type RowcastError,
  type TableChange,
  type TableOptions,
} from '../../client/rowcast.js';
import { startTestApp, type TestApp, untilStreaming } from '../app/test-app.ts';
import { startTcpProxy } from '../faults/tcp-proxy.ts';
import { newestPostgres } from '../rig/postgres.ts';
import { until } from '../rig/until.ts';

type Row = Record<string, unknown>;

/** The server and the database of all of them, each with a table of its own. */
let app: TestApp;
beforeAll(async () => {
  app = await startTestApp(newestPostgres(), { env: { ROWCAST_RECONNECT_INITIAL: '20ms' } });
});
afterAll(() => app[Symbol.asyncDispose]());

const ANNA = 'anna';
let tables = 0;

/** A copy of one table, over a proxy that can be cut and sent to another server. */
type Scene = AsyncDisposable & {
  /** The name of the table. */
  readonly name: string;
  readonly table: LiveTable;
  readonly changes: TableChange[];
  readonly errors: RowcastError[];
  /** Runs a statement in which `posts` stands for the table. */
  readonly run: (sql: string, params?: unknown[]) => Promise<Row[]>;
  readonly cut: () => void;
  readonly restart: () => Promise<void>;
};

const POSTS = `
  create table posts (id int primary key, owner text, title text, secret text);
  alter table posts enable row level security;
  create policy own on posts for select to authenticated using (owner = auth.jwt() ->> 'sub');
  grant select (id, owner, title) on posts to authenticated;
  select realtime.watch('posts', true);`;
const VISIBLE = `select id, owner, title from posts where owner = '${ANNA}' order by id`;

/** Opens a copy of the table that `sql` makes under the name `posts`. */
async function open(sql: string, options: TableOptions = {}, role = 'authenticated'): Promise<Scene> {
  const name = `posts_${++tables}`;
  const run = (text: string, params?: unknown[]): Promise<Row[]> =>
    app.database.query<Row>(text.replaceAll(/\bposts\b/g, name), params);
  await run(sql);
  const target = (): { host: string; port: number } => ({ host: '127.0.0.1', port: app.app().port });
  const proxy = await startTcpProxy(target());
  const client = createClient(`ws://127.0.0.1:${proxy.port}/realtime`, {
    token: () => app.token(role, { sub: ANNA }),
    backoff: { initialMs: 5, maxMs: 50 },
  });
  const errors: RowcastError[] = [];
  client.on('error', (error) => errors.push(error));
  const table = client.table(name, options);
  const changes: TableChange[] = [];
  table.onChange((change) => changes.push(change));
  return {
    name,
    table,
    changes,
    errors,
    run,
    cut: () => proxy.reset(),
    restart: async () => {
      await app.restart();
      proxy.retarget(target());
      proxy.reset();
    },
    [Symbol.asyncDispose]: async () => {
      await client.close();
      await proxy[Symbol.asyncDispose]();
    },
  };
}

function sorted(rows: readonly Row[]): Row[] {
  return [...rows].sort((one, other) => Number(one.id) - Number(other.id));
}

/** Waits until the copy holds what `sql` shows. */
async function untilEqual({ run, table }: Scene, sql: string): Promise<void> {
  const wanted = await run(sql);
  await until(() => JSON.stringify(sorted(table.rows)) === JSON.stringify(wanted), {
    what: `the copy to equal ${JSON.stringify(wanted).slice(0, 500)}`,
  }).catch((error: Error) => {
    throw new Error(`${error.message}; it is ${table.status}: ${JSON.stringify(sorted(table.rows)).slice(0, 500)}`);
  });
}

const resets = ({ changes }: Scene): number => changes.filter(({ type }) => type === 'reset').length;

it('begins with the rows and columns that its user may see, and follows what enters, moves and leaves', async () => {
  const before = `
    insert into posts select n, case when n % 2 = 0 then '${ANNA}' else 'bob' end, 'post ' || n, 'hidden'
    from generate_series(1, 40) as n`;
  await using scene = await open(`${POSTS} ${before}`);
  await scene.table.ready;
  await untilEqual(scene, VISIBLE);
  expect([scene.table.size, scene.table.get(2)]).toEqual([20, { id: 2, owner: ANNA, title: 'post 2' }]);
  for (const sql of [
    `insert into posts values (101, '${ANNA}', 'mine', 'x'), (102, 'bob', 'his', 'x')`,
    `update posts set owner = '${ANNA}' where id in (1, 3)`,
    `update posts set owner = 'bob' where id in (2, 4)`,
    'update posts set id = id + 1000 where id < 20',
    `update posts set title = title || '!' where id % 3 = 0`,
    'delete from posts where id % 5 = 0',
  ]) {
    await scene.run(sql);
    await untilEqual(scene, VISIBLE);
  }
  await scene.run(`begin; truncate posts; insert into posts values (1, '${ANNA}', 'new', null); commit`);
  await untilEqual(scene, VISIBLE);
  expect(resets(scene)).toBe(1);
  expect(scene.changes.map(({ type }) => type)).toContain('truncate');
});

it('filters as the table does, and holds the columns wanted', async () => {
  const before = `insert into posts select n, '${ANNA}', 'post ' || n % 3, 'hidden' from generate_series(1, 9) as n`;
  const wanted = `select id, title from posts where title = 'post 1' order by id`;
  await using scene = await open(`${POSTS} ${before}`, { where: { title: 'post 1' }, columns: ['title'] });
  await scene.table.ready;
  await untilEqual(scene, wanted);
  await scene.run(`update posts set title = 'post ' || (id + 1) % 3`);
  await untilEqual(scene, wanted);
  expect(scene.table.size).toBe(3);
});

it('catches up after cuts and a restart of the server, without taking its rows again', async () => {
  await using scene = await open(`${POSTS} insert into posts values (1, '${ANNA}', 'first', null)`);
  const { run, table } = scene;
  await table.ready;
  for (let n = 2; n <= 30; n++) {
    await run(`insert into posts values ($1, $2, 'post', null)`, [n, n % 4 === 0 ? 'bob' : ANNA]);
    if (n % 7 === 0) scene.cut();
    if (n === 20) await scene.restart();
    await run('update posts set title = title || $1 where id = $1 - 1', [n]);
  }
  await untilEqual(scene, VISIBLE);
  await until(() => table.status === 'live');
  expect(resets(scene)).toBe(1);
  const inserted = scene.changes.flatMap(({ type, row }) => (type === 'insert' ? [row.id] : []));
  expect(inserted).toEqual([...new Set(inserted)]);
});

it('takes its rows again when the slot was lost, and what was written without one is in them', async () => {
  await using scene = await open(`${POSTS} insert into posts values (1, '${ANNA}', 'first', null)`);
  const { run, table } = scene;
  await table.ready;
  await app.app().stop();
  await run('select pg_drop_replication_slot($1)', [app.database.slot]);
  await run(`update posts set title = 'unseen'; insert into posts values (2, '${ANNA}', 'unseen', null)`);
  expect(table.status).not.toBe('live');
  await scene.restart();
  await untilStreaming(app);
  await untilEqual(scene, VISIBLE);
  await until(() => table.status === 'live');
  expect(resets(scene)).toBe(2);
  await run('delete from posts where id = 1');
  await untilEqual(scene, VISIBLE);
});

it('tries again while its policy raises, and is there when it does not', async () => {
  const raising = `
    ${POSTS} insert into posts values (1, '${ANNA}', 'x', null);
    create policy raises on posts for select to authenticated using (1 / (length(title) - 1) = 0)`;
  await using scene = await open(raising);
  const { run, table } = scene;
  await until(() => scene.errors.length > 1, { what: 'snapshots to fail' });
  expect(scene.errors.map(({ code }) => code)).toContain('snapshot_unavailable');
  expect(table.status).toBe('loading');
  await run('drop policy raises on posts');
  await table.ready;
  await untilEqual(scene, VISIBLE);
});

it('keeps large values that are not sent again, and marks rows that are too large', async () => {
  const sql = `
    create table posts (id int primary key, n int, big text);
    alter table posts alter column big set storage external;
    insert into posts values (1, 1, repeat('x', 9000)), (2, 1, repeat('y', 300000));
    select realtime.watch('posts')`;
  await using scene = await open(sql, {}, 'service_role');
  const { run, table } = scene;
  await table.ready;
  const whole = (): unknown[] => sorted(table.rows).map((row) => [row.id, row.n, table.isWhole(row)]);
  expect(whole()).toEqual([
    [1, 1, true],
    [2, undefined, false],
  ]);
  await run('update posts set n = 2');
  await until(() => table.get(1)?.n === 2 && table.get(2)?.n === 2);
  expect(String(table.get(1)?.big)).toHaveLength(9_000);
  expect(whole()).toEqual([
    [1, 2, true],
    [2, 2, false],
  ]);
});

it('holds exactly the rows of a table that is written while it is read', async () => {
  const before = `insert into posts select n, '${ANNA}', repeat('x', 100), null from generate_series(1, 3000) as n`;
  await using scene = await open(`${POSTS} ${before}`);
  const { run, table } = scene;
  let isLive = false;
  table.ready.then(() => {
    isLive = true;
  });
  for (let n = 0; !isLive || n < 10; n++) {
    await run('update posts set title = $2 where id % 50 = $1', [n % 50, `change ${n}`]);
    await run('delete from posts where id = $1', [n * 3]);
    await run(`insert into posts values ($1, $2, 'new', null)`, [10_000 + n, n % 2 === 0 ? ANNA : 'bob']);
  }
  await untilEqual(scene, VISIBLE);
});

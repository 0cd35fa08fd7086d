// Owns what writers do to the rows of random tables: inserts, updates of every kind (flips of visibility, of
// owners and keys, ones that leave large values alone), deletes, seldom a truncate; in transactions of a few
// statements with savepoints, some rolled back.

import { type Client, escapeIdentifier } from 'pg';
import { KINDS, type OracleColumn } from './column-kind.ts';
import type { Dice } from './dice.ts';
import type { OracleTable } from './oracle-table.ts';

const MAX_ROWS = 3;

/** One statement over one of `tables`. */
export function mutation(dice: Dice, tables: readonly OracleTable[]): string {
  const table = dice.pick(tables);
  const roll = dice.below(100);
  if (roll < 38) return insert(dice, table);
  if (roll < 82) return update(dice, table);
  if (roll < 97) return `delete from ${table.sql} where ${someRows(dice, table)}`;
  return `truncate ${dice.chance(0.3) ? tables.map(({ sql }) => sql).join(', ') : table.sql}`;
}

function insert(dice: Dice, { sql, columns, hasKey }: OracleTable): string {
  const rows = Array.from(
    { length: dice.between(1, MAX_ROWS) },
    () => `(${columns.map((each) => value(dice, each)).join(', ')})`,
  );
  return `insert into ${sql} values ${rows.join(', ')}${hasKey ? ' on conflict do nothing' : ''}`;
}

/** A row that changes its visibility, and perhaps its key, in the transaction that makes it; perhaps it ends there too. */
function story(dice: Dice, table: OracleTable): string[] {
  const values = table.columns.map((column) => value(dice, column));
  const same = table.columns
    .map(({ name, isKey }, index) => (isKey ? `${escapeIdentifier(name)} = ${values[index]}` : ''))
    .filter((text) => text !== '');
  const free = table.columns.filter(({ isKey, kind }) => !isKey && ['open', 'owner', 'tenant', 'team'].includes(kind));
  const sets = dice.some(free, 0.6).map((column) => set(dice, column));
  const steps = [`insert into ${table.sql} values (${values.join(', ')}) on conflict do nothing`];
  if (same.length > 0) steps.push(`update ${table.sql} set ${sets.join(', ')} where ${same.join(' and ')}`);
  if (same.length > 0 && dice.chance(0.25)) steps.push(`delete from ${table.sql} where ${same.join(' and ')}`);
  return steps;
}

function update(dice: Dice, table: OracleTable): string {
  const others = table.columns.filter(({ isKey, kind }) => !isKey && kind !== 'body' && kind !== 'closed');
  const bodies = table.columns.filter(({ kind }) => kind === 'body');
  const keys = table.columns.filter(({ isKey }) => isKey);
  const chosen = [
    ...(dice.chance(0.85) ? dice.some(others, 0.3) : []),
    ...bodies.filter(() => dice.chance(0.2)),
    ...(dice.chance(0.25) ? keys.filter(() => dice.chance(0.7)) : []),
  ];
  const sets = (chosen.length > 0 ? chosen : dice.sample(others, 1)).map((column) => set(dice, column));
  return `update ${table.sql} set ${sets.join(', ')} where ${someRows(dice, table)}`;
}

function set(dice: Dice, column: OracleColumn): string {
  const name = escapeIdentifier(column.name);
  if (column.kind === 'open' && dice.chance(0.6)) return `${name} = ${name} is not true`;
  return `${name} = ${value(dice, column)}`;
}

function value(dice: Dice, column: OracleColumn): string {
  const text = KINDS[column.kind].value(dice);
  return text === 'null' && column.isKey ? keyValue(dice, column) : text;
}

function keyValue(dice: Dice, column: OracleColumn): string {
  for (;;) {
    const text = KINDS[column.kind].value(dice);
    if (text !== 'null') return text;
  }
}

// The few that come first in an order that a random word makes: the same rows for the same seed and state.
function someRows(dice: Dice, { sql, columns }: OracleTable): string {
  if (dice.chance(0.05)) return 'true';
  const by = escapeIdentifier((columns[0] as OracleColumn).name);
  return `ctid = any (array(select ctid from ${sql} order by md5(${by}::text || '${dice.below(1000)}') limit ${dice.between(1, MAX_ROWS)}))`;
}

/** Runs `count` transactions on `client`; what collides with another writer is rolled back. */
export async function write(client: Client, dice: Dice, tables: readonly OracleTable[], count: number): Promise<void> {
  for (let n = 0; n < count; n++) await transaction(client, dice, tables);
}

async function transaction(client: Client, dice: Dice, tables: readonly OracleTable[]): Promise<void> {
  const statements = Array.from({ length: dice.between(1, 5) }, () => mutation(dice, tables));
  if (dice.chance(0.35)) statements.splice(dice.below(statements.length), 0, ...story(dice, dice.pick(tables)));
  const savepointAt = dice.chance(0.25) ? dice.below(statements.length) : -1;
  const isKept = dice.chance(0.5);
  const ending = dice.chance(0.08) ? ['rollback'] : dice.chance(0.06) ? twoPhases(dice) : ['commit'];
  try {
    await client.query('begin');
    for (const [index, sql] of statements.entries()) {
      if (index === savepointAt) await client.query('savepoint inner_part');
      await client.query(sql);
    }
    if (savepointAt >= 0) await client.query(`${isKept ? 'release' : 'rollback to'} savepoint inner_part`);
    for (const sql of ending) await client.query(sql);
  } catch (error) {
    if (!isCollision(error)) throw new Error(`a writer failed: ${statements.join('; ')}`, { cause: error });
    await client.query('rollback');
  }
}

function twoPhases(dice: Dice): string[] {
  const name = `oracle ${dice.below(2 ** 31)}`;
  return [`prepare transaction '${name}'`, `commit prepared '${name}'`];
}

/** A key that exists already, a deadlock: part of life with several writers. */
export function isCollision(error: unknown): boolean {
  return ['23505', '40P01'].includes((error as { code?: string }).code ?? '');
}

/** A row of random values in every table, so that later statements find some. */
export function seedRows(dice: Dice, tables: readonly OracleTable[]): string {
  return tables.map((table) => Array.from({ length: 3 }, () => insert(dice, table)).join('; ')).join('; ');
}

/** Empties every table. */
export function truncateAll(tables: readonly OracleTable[]): string {
  return `truncate ${tables.map(({ sql }) => sql).join(', ')}`;
}

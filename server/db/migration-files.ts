// Owns the reading of sql/: numbered migrations, which run once, and repeatable objects (functions, then
// views), which run again whenever their text changed.

import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

export type Migration = { readonly number: number; readonly name: string; readonly sql: string; readonly hash: string };
export type RepeatableObject = { readonly name: string; readonly sql: string; readonly hash: string };
export type MigrationFiles = {
  /** Numbered 1, 2, 3 … without a gap. */
  readonly migrations: readonly Migration[];
  readonly repeatables: readonly RepeatableObject[];
};

const MIGRATION_NAME = /^(\d{6})_[a-z0-9_]+\.sql$/;
const SQL_FOLDER = join(import.meta.dirname, '..', '..', 'sql');

/** Reads all of sql/. Throws where a name or a number is wrong: that is a defect of the release. */
export async function readMigrationFiles(folder: string = SQL_FOLDER): Promise<MigrationFiles> {
  const migrations = await Promise.all(
    (await sqlFiles(folder, 'migrations')).map((name) => readMigration(join(folder, 'migrations'), name)),
  );
  migrations.forEach(({ number, name }, index) => {
    if (number !== index + 1) throw new Error(`${name}: expected number ${index + 1}; numbers have a gap or a double`);
  });
  const repeatables = [...(await readRepeatables(folder, 'functions')), ...(await readRepeatables(folder, 'views'))];
  return { migrations, repeatables };
}

async function readMigration(folder: string, name: string): Promise<Migration> {
  const match = MIGRATION_NAME.exec(name);
  if (!match) throw new Error(`${name}: a migration is named 000001_nouns.sql`);
  const sql = await readFile(join(folder, name), 'utf8');
  return { number: Number(match[1]), name, sql, hash: hashOf(sql) };
}

async function readRepeatables(folder: string, kind: string): Promise<RepeatableObject[]> {
  return Promise.all(
    (await sqlFiles(folder, kind)).map(async (file) => {
      const sql = await readFile(join(folder, kind, file), 'utf8');
      return { name: `${kind}/${file}`, sql, hash: hashOf(sql) };
    }),
  );
}

async function sqlFiles(folder: string, kind: string): Promise<string[]> {
  return (await readdir(join(folder, kind))).filter((name) => name.endsWith('.sql')).sort();
}

function hashOf(sql: string): string {
  return createHash('sha256').update(sql).digest('hex');
}

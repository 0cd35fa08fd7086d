// Owns the reading of a table's primary key from the catalogue. What identifies a row in the stream is the
// replica identity, which may be the whole row; this is what identifies it to people.

import type { Pool } from 'pg';

// Behind the columns of the key the index may include others.
const COLUMNS = `
  select a.attname::text as name
  from pg_catalog.pg_index as i
  join pg_catalog.pg_attribute as a
    on a.attrelid = i.indrelid and a.attnum = any ((i.indkey::pg_catalog.int2[])[0:i.indnkeyatts - 1])
  where i.indrelid = $1 and i.indisprimary`;

/** The names of the key's columns; none where the table has no primary key, or is gone. */
export async function readPrimaryKey(pool: Pool, oid: number): Promise<string[]> {
  const { rows } = await pool.query<{ name: string }>(COLUMNS, [oid]);
  return rows.map(({ name }) => name);
}

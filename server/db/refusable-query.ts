// Owns a statement that the database may well refuse. Pool.query() throws a connection away with every statement
// that fails, and making another one costs a hundred times as much as a refusal: whoever is refused often could
// keep others from their connections.

import type pg from 'pg';

/** As `pool.query`, but the connection stays where only the statement has failed. */
export async function refusableQuery<Row extends pg.QueryResultRow>(
  pool: pg.Pool,
  query: pg.QueryConfig,
): Promise<pg.QueryResult<Row>> {
  const client = await pool.connect();
  let isBroken = true;
  try {
    const result = await client.query<Row>(query);
    isBroken = false;
    return result;
  } catch (error) {
    isBroken = !isOfStatement(error);
    throw error;
  } finally {
    client.release(isBroken);
  }
}

// FATAL and PANIC end the session, and what has no severity came from the socket.
function isOfStatement(error: unknown): boolean {
  return (error as { readonly severity?: unknown } | null)?.severity === 'ERROR';
}

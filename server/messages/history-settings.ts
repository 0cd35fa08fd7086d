// Owns how long history is kept at most: one number in the database, because every server and SQL must agree on it.

import type { Pool } from 'pg';
import { must } from '../lib/assert.ts';

/** Null: for ever. */
export type HistorySettings = { readonly retentionDays: number | null };

type Row = { retention_days: number | null };

/** Rejects when the database cannot be asked. */
export async function readHistorySettings(pool: Pool): Promise<HistorySettings> {
  const { rows } = await pool.query<Row>('select s.retention_days from realtime.settings as s');
  return settingsOf(rows);
}

/** Takes effect within the hour. Returns what is so now. Rejects when the database cannot be asked. */
export async function changeHistorySettings(pool: Pool, { retentionDays }: HistorySettings): Promise<HistorySettings> {
  const { rows } = await pool.query<Row>(
    'update realtime.settings as s set retention_days = $1, updated_at = now() returning s.retention_days',
    [retentionDays],
  );
  return settingsOf(rows);
}

function settingsOf([row]: readonly Row[]): HistorySettings {
  return { retentionDays: must(row, 'the row of settings').retention_days };
}

// Owns the independent opinion on what was committed: a second slot over the same publications, read through
// SQL and decoded by a few lines of its own that share nothing with the server's decoder.

import type { TestDatabase } from '../rig/postgres.ts';

export type OracleChange = {
  readonly lsn: bigint;
  readonly index: number;
  readonly relation: string;
  readonly op: 'INSERT' | 'UPDATE' | 'DELETE' | 'TRUNCATE';
  /** Text of the first column; null for TRUNCATE. */
  readonly id: string | null;
};

const PUBLICATIONS = `select string_agg(quote_ident(pubname), ',') as names from pg_publication where pubname like 'rowcast%'`;

/** Makes the slot; everything that commits from now on is in it. The publications must exist. */
export async function createOracleSlot(database: TestDatabase): Promise<void> {
  await database.query(`select pg_create_logical_replication_slot($1, 'pgoutput')`, [oracleSlot(database)]);
}

/** All row changes since the slot was made, in commit order. Reading does not use them up. */
export async function readOracle(database: TestDatabase): Promise<OracleChange[]> {
  const [publications] = await database.query<{ names: string }>(PUBLICATIONS);
  const rows = await database.query<{ data: Buffer }>(
    `select data from pg_logical_slot_peek_binary_changes($1, null, null,
       'proto_version', '1', 'publication_names', $2, 'messages', 'true')`,
    [oracleSlot(database), publications?.names],
  );
  const oracle = new Decoder();
  for (const { data } of rows) oracle.take(data);
  return oracle.changes;
}

/** `<epoch>-<lsn>-<index>` in hexadecimal, as the contract writes it. */
export function oraclePosition(epoch: number, { lsn, index }: { lsn: bigint; index: number }): string {
  const hex = (value: number | bigint, digits: number): string => value.toString(16).padStart(digits, '0');
  return `${hex(epoch, 8)}-${hex(lsn, 16)}-${hex(index, 8)}`;
}

function oracleSlot({ name }: TestDatabase): string {
  return `oracle_${name}`;
}

class Decoder {
  readonly changes: OracleChange[] = [];
  readonly #names = new Map<number, string>();
  #lsn = 0n;
  #index = 0;

  take(data: Buffer): void {
    switch (String.fromCharCode(data[0] as number)) {
      case 'B':
        this.#lsn = data.readBigUInt64BE(1);
        this.#index = 0;
        break;
      case 'R': {
        const [schema, name] = data.toString('utf8', 5).split('\0');
        this.#names.set(data.readUInt32BE(1), `${schema}.${name}`);
        break;
      }
      case 'I':
        this.#row('INSERT', data, 6);
        break;
      case 'U':
        this.#row('UPDATE', data, newTupleOf(data));
        break;
      case 'D':
        this.#row('DELETE', data, 6);
        break;
      case 'T':
        for (let at = 6; at < data.length; at += 4) this.#push('TRUNCATE', data.readUInt32BE(at), null);
        break;
      case 'M':
        if (data[1] === 1) this.#index++;
        break;
      default:
        break;
    }
  }

  #row(op: OracleChange['op'], data: Buffer, tuple: number): void {
    const length = data.readUInt32BE(tuple + 3);
    this.#push(op, data.readUInt32BE(1), data.toString('utf8', tuple + 7, tuple + 7 + length));
  }

  #push(op: OracleChange['op'], oid: number, id: string | null): void {
    const relation = this.#names.get(oid) ?? '';
    const index = this.#index++;
    if (!relation.startsWith('realtime.')) this.changes.push({ lsn: this.#lsn, index, relation, op, id });
  }
}

/** Where the new tuple of an UPDATE begins, behind an old one if there is one. */
function newTupleOf(data: Buffer): number {
  if (data[5] === 0x4e) return 6;
  let at = 8;
  for (let left = data.readUInt16BE(6); left > 0; left--) at += data[at] === 0x74 ? 5 + data.readUInt32BE(at + 1) : 1;
  return at + 1;
}

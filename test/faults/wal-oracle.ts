// Owns the independent opinion on what was committed: a second slot over the same publications, read through
// SQL and decoded by a few lines of its own that share nothing with the server's decoder.

import { setImmediate as immediate } from 'node:timers/promises';
import type { TestDatabase } from '../rig/postgres.ts';

export type OracleChange = {
  readonly lsn: bigint;
  readonly index: number;
  /** `<lsn>-<index>`, as it stands in a position behind the epoch. */
  readonly place: string;
  readonly relation: string;
  readonly op: 'INSERT' | 'UPDATE' | 'DELETE' | 'TRUNCATE';
  /** Texts by column: of the new row, of a deleted one its key; none for TRUNCATE. */
  readonly values: Readonly<Record<string, string | null>>;
  /** Of an UPDATE or DELETE what was sent of the old row: all of it under REPLICA IDENTITY FULL; null if nothing. */
  readonly old: Readonly<Record<string, string | null>> | null;
};

/** Where published messages come from; nothing else of the schema is told. */
export const PUBLISHED = 'realtime.messages';

const ROWS_AT_ONCE = 5_000;

const PUBLICATIONS = `select string_agg(quote_ident(pubname), ',') as names from pg_publication where pubname like 'rowcast%'`;

/** Makes the slot; everything that commits from now on is in it. The publications must exist. */
export async function createOracleSlot(database: TestDatabase): Promise<void> {
  await database.query(`select pg_create_logical_replication_slot($1, 'pgoutput')`, [oracleSlot(database)]);
}

/** All row changes and published messages since the slot was made, in commit order. Reading does not use them up. */
export async function readOracle(database: TestDatabase): Promise<OracleChange[]> {
  const [publications] = await database.query<{ names: string }>(PUBLICATIONS);
  const rows = await database.query<{ data: Buffer }>(
    `select data from pg_logical_slot_peek_binary_changes($1, null, null,
       'proto_version', '1', 'publication_names', $2, 'messages', 'true')`,
    [oracleSlot(database), publications?.names],
  );
  const oracle = new Decoder();
  for (const [index, { data }] of rows.entries()) {
    // Sockets and proxies of this process must not wait meanwhile.
    if (index % ROWS_AT_ONCE === 0) await immediate();
    oracle.take(data);
  }
  return oracle.changes;
}

/** `<epoch>-<lsn>-<index>` in hexadecimal, as the contract writes it. */
export function oraclePosition(epoch: number, { lsn, index }: { lsn: bigint; index: number }): string {
  return `${hex(epoch, 8)}-${placeOf(lsn, index)}`;
}

function placeOf(lsn: bigint, index: number): string {
  return `${hex(lsn, 16)}-${hex(index, 8)}`;
}

function hex(value: number | bigint, digits: number): string {
  return value.toString(16).padStart(digits, '0');
}

function oracleSlot({ name }: TestDatabase): string {
  return `oracle_${name}`;
}

class Decoder {
  readonly changes: OracleChange[] = [];
  readonly #relations = new Map<number, { readonly name: string; readonly columns: readonly string[] }>();
  #lsn = 0n;
  #index = 0;

  take(data: Buffer): void {
    switch (String.fromCharCode(data[0] as number)) {
      case 'B':
        this.#lsn = data.readBigUInt64BE(1);
        this.#index = 0;
        break;
      case 'R':
        this.#relation(data);
        break;
      case 'I':
        this.#push('INSERT', data.readUInt32BE(1), textsOf(data, 6), null);
        break;
      case 'U':
        this.#push('UPDATE', data.readUInt32BE(1), textsOf(data, newTupleOf(data)), oldTextsOf(data));
        break;
      case 'D':
        this.#push('DELETE', data.readUInt32BE(1), textsOf(data, 6), textsOf(data, 6));
        break;
      case 'T':
        for (let at = 6; at < data.length; at += 4) this.#push('TRUNCATE', data.readUInt32BE(at), [], null);
        break;
      case 'M':
        if (data[1] === 1) this.#index++;
        break;
      default:
        break;
    }
  }

  #relation(data: Buffer): void {
    const [schema, name] = data.toString('utf8', 5).split('\0') as [string, string];
    let at = 5 + Buffer.byteLength(schema) + 1 + Buffer.byteLength(name) + 2;
    const columns: string[] = [];
    for (let left = data.readUInt16BE(at); left > 0; left--) {
      const start = columns.length === 0 ? at + 3 : at + 1;
      const end = data.indexOf(0, start);
      columns.push(data.toString('utf8', start, end));
      at = end + 9;
    }
    this.#relations.set(data.readUInt32BE(1), { name: `${schema}.${name}`, columns });
  }

  #push(op: OracleChange['op'], oid: number, texts: Texts, oldTexts: Texts | null): void {
    const { name, columns } = this.#relations.get(oid) ?? { name: '', columns: [] };
    const index = this.#index++;
    if (name.startsWith('realtime.') && name !== PUBLISHED) return;
    const named = (of: Texts): OracleChange['values'] =>
      Object.fromEntries(of.map((text, place) => [columns[place] ?? '', text]));
    const old = oldTexts === null ? null : named(oldTexts);
    const place = placeOf(this.#lsn, index);
    this.changes.push({ lsn: this.#lsn, index, place, relation: name, op, values: named(texts), old });
  }
}

type Texts = readonly (string | null)[];

function textsOf(data: Buffer, tuple: number): Texts {
  const texts: (string | null)[] = [];
  let at = tuple + 2;
  for (let left = data.readUInt16BE(tuple); left > 0; left--) {
    const isText = data[at] === 0x74;
    const length = isText ? data.readUInt32BE(at + 1) : 0;
    texts.push(isText ? data.toString('utf8', at + 5, at + 5 + length) : null);
    at += isText ? 5 + length : 1;
  }
  return texts;
}

function oldTextsOf(data: Buffer): Texts | null {
  return data[5] === 0x4e ? null : textsOf(data, 6);
}

/** Where the new tuple of an UPDATE begins, behind an old one if there is one. */
function newTupleOf(data: Buffer): number {
  if (data[5] === 0x4e) return 6;
  let at = 8;
  for (let left = data.readUInt16BE(6); left > 0; left--) at += data[at] === 0x74 ? 5 + data.readUInt32BE(at + 1) : 1;
  return at + 1;
}

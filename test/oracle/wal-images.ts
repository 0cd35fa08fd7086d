// Owns the independent opinion on what was committed, with row images: a second slot over the same
// publications, read through SQL and unpacked by lines of its own that share nothing with the server's decoder.

import type { TestDatabase } from '../rig/postgres.ts';

/** Column name to text or null; what is not in it was not sent. */
export type RowImage = ReadonlyMap<string, string | null>;

export type WalChange = {
  readonly position: string;
  readonly schema: string;
  readonly table: string;
  readonly op: 'INSERT' | 'UPDATE' | 'DELETE' | 'TRUNCATE';
  readonly new: RowImage | null;
  /** The whole row under FULL; else the key, and of an UPDATE only where it changed. */
  readonly old: RowImage | null;
  /** Large columns that an UPDATE did not resend. */
  readonly unchanged: readonly string[];
};

type Relation = {
  readonly schema: string;
  readonly table: string;
  readonly columns: readonly { readonly name: string; readonly isKey: boolean }[];
};

const slotOf = ({ name }: TestDatabase): string => `oracle_${name}`;
const PUBLICATIONS = `select string_agg(quote_ident(pubname), ',') as names from pg_publication where pubname like 'rowcast%'`;

/** Makes the slot; everything that commits from now on is in it. */
export async function createWalSlot(database: TestDatabase): Promise<void> {
  await database.query(`select pg_create_logical_replication_slot($1, 'pgoutput')`, [slotOf(database)]);
}

/** What was committed since the last call, in commit order, without the tables of schema realtime. */
export async function takeWalChanges(database: TestDatabase): Promise<WalChange[]> {
  const [names] = await database.query<{ names: string }>(PUBLICATIONS);
  const [checkpoint] = await database.query<{ epoch: string }>('select epoch from realtime.checkpoint');
  const rows = await database.query<{ data: Buffer }>(
    `select data from pg_logical_slot_get_binary_changes($1, null, null,
       'proto_version', '1', 'publication_names', $2, 'messages', 'true')`,
    [slotOf(database), names?.names],
  );
  const reader = new WalReader(Number(checkpoint?.epoch));
  for (const { data } of rows) reader.take(data);
  return reader.changes.filter(({ schema }) => schema !== 'realtime');
}

class WalReader {
  readonly changes: WalChange[] = [];
  readonly #epoch: number;
  readonly #relations = new Map<number, Relation>();
  #data: Buffer = Buffer.alloc(0);
  #at = 0;
  #lsn = 0n;
  #index = 0;

  constructor(epoch: number) {
    this.#epoch = epoch;
  }

  take(data: Buffer): void {
    this.#data = data;
    this.#at = 1;
    const kind = String.fromCharCode(data[0] as number);
    if (kind === 'B') this.#begin();
    else if (kind === 'R') this.#relation();
    else if (kind === 'T') this.#truncate();
    else if (kind === 'M' && data[1] === 1) this.#index++;
    else if (kind === 'I' || kind === 'U' || kind === 'D') this.#row(kind);
  }

  #begin(): void {
    this.#lsn = this.#data.readBigUInt64BE(1);
    this.#index = 0;
  }

  #relation(): void {
    const oid = this.#int32();
    const [schema, table] = [this.#text(), this.#text()];
    this.#at++;
    const columns = Array.from({ length: this.#int16() }, () => {
      const isKey = this.#byte() === 1;
      const name = this.#text();
      this.#at += 8;
      return { name, isKey };
    });
    this.#relations.set(oid, { schema, table, columns });
  }

  #truncate(): void {
    const count = this.#int32();
    this.#at++;
    for (let n = 0; n < count; n++) {
      const relation = this.#relations.get(this.#int32()) as Relation;
      this.#push(relation, { op: 'TRUNCATE', new: null, old: null, unchanged: [] });
    }
  }

  #row(kind: 'I' | 'U' | 'D'): void {
    const relation = this.#relations.get(this.#int32()) as Relation;
    let old: Map<string, string | null> | null = null;
    let next: Map<string, string | null> | null = null;
    let unchanged: string[] = [];
    while (this.#at < this.#data.length) {
      const part = String.fromCharCode(this.#byte());
      const tuple = this.#tuple(relation, part === 'K');
      if (part === 'N') [next, unchanged] = [tuple.image, tuple.unchanged];
      else old = tuple.image;
      // Under FULL a large value that was not resent stands in the old row.
      if (part === 'N' && old !== null) unchanged = fill(tuple.image, tuple.unchanged, old);
    }
    const op = ({ I: 'INSERT', U: 'UPDATE', D: 'DELETE' } as const)[kind];
    this.#push(relation, { op, new: next, old, unchanged });
  }

  #tuple(relation: Relation, keyOnly: boolean): { image: Map<string, string | null>; unchanged: string[] } {
    const image = new Map<string, string | null>();
    const unchanged: string[] = [];
    const count = this.#int16();
    for (const { name, isKey } of relation.columns.slice(0, count)) {
      const kind = String.fromCharCode(this.#byte());
      if (kind === 'u') unchanged.push(name);
      const value = kind === 't' ? this.#sized() : null;
      if (kind !== 'u' && (isKey || !keyOnly)) image.set(name, value);
    }
    return { image, unchanged };
  }

  #push(relation: Relation, change: Omit<WalChange, 'position' | 'schema' | 'table'>): void {
    const hex = (value: number | bigint, digits: number): string => value.toString(16).padStart(digits, '0');
    const position = `${hex(this.#epoch, 8)}-${hex(this.#lsn, 16)}-${hex(this.#index++, 8)}`;
    this.changes.push({ position, schema: relation.schema, table: relation.table, ...change });
  }

  #byte(): number {
    return this.#data[this.#at++] as number;
  }

  #int16(): number {
    this.#at += 2;
    return this.#data.readUInt16BE(this.#at - 2);
  }

  #int32(): number {
    this.#at += 4;
    return this.#data.readUInt32BE(this.#at - 4);
  }

  #text(): string {
    const end = this.#data.indexOf(0, this.#at);
    const text = this.#data.toString('utf8', this.#at, end);
    this.#at = end + 1;
    return text;
  }

  #sized(): string {
    const length = this.#int32();
    this.#at += length;
    return this.#data.toString('utf8', this.#at - length, this.#at);
  }
}

/** Takes what stands in `old`; gives the names that do not. */
function fill(image: Map<string, string | null>, names: readonly string[], old: RowImage): string[] {
  return names.filter((name) => {
    const value = old.get(name);
    if (value === undefined) return true;
    image.set(name, value);
    return false;
  });
}

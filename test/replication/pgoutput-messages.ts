// Owns the writing of pgoutput messages for tests, from the documentation and not from the decoder
// (https://www.postgresql.org/docs/18/protocol-logicalrep-message-formats.html).

export type TestColumn = { readonly name: string; readonly typeOid: number; readonly isKey: boolean };
/** A text, null, or a large value that was not resent. */
export type TestValue = string | null | undefined;

const text = (value: string): Buffer => Buffer.from(`${value}\0`);
const tag = (letter: string): Buffer => Buffer.from(letter);

function number(value: bigint | number, bytes: 1 | 2 | 4 | 8): Buffer {
  const buffer = Buffer.alloc(8);
  buffer.writeBigUInt64BE(BigInt.asUintN(64, BigInt(value)));
  return buffer.subarray(8 - bytes);
}

export function begin(lsn: bigint, micros = 0n, xid = 7): Buffer {
  return Buffer.concat([tag('B'), number(lsn, 8), number(micros, 8), number(xid, 4)]);
}

export function commit(lsn: bigint, endLsn = lsn + 8n, micros = 0n): Buffer {
  return Buffer.concat([tag('C'), number(0, 1), number(lsn, 8), number(endLsn, 8), number(micros, 8)]);
}

export function relation(
  oid: number,
  schema: string,
  name: string,
  columns: readonly TestColumn[],
  identity = 'd',
): Buffer {
  const parts = columns.map(({ name, typeOid, isKey }) =>
    Buffer.concat([number(isKey ? 1 : 0, 1), text(name), number(typeOid, 4), number(-1, 4)]),
  );
  const head = [tag('R'), number(oid, 4), text(schema), text(name), tag(identity), number(columns.length, 2)];
  return Buffer.concat([...head, ...parts]);
}

function tuple(values: readonly TestValue[]): Buffer {
  const parts = values.map((value) => {
    if (value === null) return tag('n');
    if (value === undefined) return tag('u');
    const bytes = Buffer.from(value);
    return Buffer.concat([tag('t'), number(bytes.length, 4), bytes]);
  });
  return Buffer.concat([number(values.length, 2), ...parts]);
}

export function insert(oid: number, values: readonly TestValue[]): Buffer {
  return Buffer.concat([tag('I'), number(oid, 4), tag('N'), tuple(values)]);
}

export function update(oid: number, values: readonly TestValue[], old?: readonly TestValue[], kind = 'K'): Buffer {
  const before = old === undefined ? [] : [tag(kind), tuple(old)];
  return Buffer.concat([tag('U'), number(oid, 4), ...before, tag('N'), tuple(values)]);
}

export function remove(oid: number, old: readonly TestValue[], kind = 'K'): Buffer {
  return Buffer.concat([tag('D'), number(oid, 4), tag(kind), tuple(old)]);
}

export function truncate(oids: readonly number[]): Buffer {
  return Buffer.concat([tag('T'), number(oids.length, 4), number(0, 1), ...oids.map((oid) => number(oid, 4))]);
}

export function logicalMessage(isTransactional: boolean, prefix: string, content: string): Buffer {
  const head = [tag('M'), number(isTransactional ? 1 : 0, 1), number(1n, 8), text(prefix)];
  return Buffer.concat([...head, number(Buffer.byteLength(content), 4), Buffer.from(content)]);
}

export const origin = (): Buffer => Buffer.concat([tag('O'), number(1n, 8), text('elsewhere')]);
export const type = (): Buffer => Buffer.concat([tag('Y'), number(16_500, 4), text('public'), text('mood')]);

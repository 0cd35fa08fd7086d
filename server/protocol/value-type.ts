// Owns how a Postgres type is written as JSON: the classification that value-encoder.ts switches on.
// Built-in types are known here by their oid (fixed in pg_type.dat); others are resolved from the catalogue
// by the changes room into the same shapes.

export type ValueType =
  | { readonly kind: 'text' }
  | { readonly kind: 'bool' }
  /** Always a JSON number: int2, int4. */
  | { readonly kind: 'integer' }
  /** A JSON number up to 15 significant digits, else a string: int8, numeric. */
  | { readonly kind: 'decimal' }
  /** A JSON number but for NaN and ±Infinity. */
  | { readonly kind: 'float' }
  /** Spliced as it stands: json, jsonb. */
  | { readonly kind: 'json' }
  | { readonly kind: 'timestamp' }
  | { readonly kind: 'timestamptz' }
  | { readonly kind: 'array'; readonly element: ValueType; readonly delimiter: number }
  /** int2vector, oidvector: values between spaces. */
  | { readonly kind: 'vector'; readonly element: ValueType }
  | { readonly kind: 'composite'; readonly fields: readonly { readonly name: string; readonly type: ValueType }[] };

export const TEXT: ValueType = { kind: 'text' };
const COMMA = 0x2c;
const MINUS = 0x2d;
const ZERO = 0x30;
const SEMICOLON = 0x3b;
const LETTER_E = 0x65;
/** `e`, a sign and two or three digits. */
const MIN_EXPONENT_BYTES = 4;
const MAX_EXPONENT_BYTES = 5;

const scalar = {
  bool: { kind: 'bool' },
  integer: { kind: 'integer' },
  decimal: { kind: 'decimal' },
  float: { kind: 'float' },
  json: { kind: 'json' },
  timestamp: { kind: 'timestamp' },
  timestamptz: { kind: 'timestamptz' },
} as const satisfies Record<string, ValueType>;

/** [oid, oid of its array, how it is written]; what is not listed is text or comes from the catalogue. */
const BUILT_IN: readonly (readonly [number, number, ValueType])[] = [
  [16, 1000, scalar.bool],
  [17, 1001, TEXT], // bytea, as \x…
  [18, 1002, TEXT], // "char"
  [19, 1003, TEXT], // name
  [20, 1016, scalar.decimal], // int8
  [21, 1005, scalar.integer], // int2
  [23, 1007, scalar.integer], // int4
  [24, 1008, TEXT], // regproc
  [25, 1009, TEXT],
  [26, 1028, TEXT], // oid
  [27, 1010, TEXT], // tid
  [28, 1011, TEXT], // xid
  [114, 199, scalar.json],
  [142, 143, TEXT], // xml
  [600, 1017, TEXT], // point
  [601, 1018, TEXT], // lseg
  [602, 1019, TEXT], // path
  [604, 1027, TEXT], // polygon
  [628, 629, TEXT], // line
  [650, 651, TEXT], // cidr
  [700, 1021, scalar.float], // float4
  [701, 1022, scalar.float], // float8
  [718, 719, TEXT], // circle
  [774, 775, TEXT], // macaddr8
  [790, 791, TEXT], // money
  [829, 1040, TEXT], // macaddr
  [869, 1041, TEXT], // inet
  [1042, 1014, TEXT], // bpchar
  [1043, 1015, TEXT], // varchar
  [1082, 1182, TEXT], // date
  [1083, 1183, TEXT], // time
  [1114, 1115, scalar.timestamp],
  [1184, 1185, scalar.timestamptz],
  [1186, 1187, TEXT], // interval
  [1266, 1270, TEXT], // timetz
  [1560, 1561, TEXT], // bit
  [1562, 1563, TEXT], // varbit
  [1700, 1231, scalar.decimal], // numeric
  [2205, 2210, TEXT], // regclass
  [2950, 2951, TEXT], // uuid
  [3220, 3221, TEXT], // pg_lsn
  [3614, 3643, TEXT], // tsvector
  [3615, 3645, TEXT], // tsquery
  [3802, 3807, scalar.json], // jsonb
  [3904, 3905, TEXT], // int4range
  [3906, 3907, TEXT], // numrange
  [3908, 3909, TEXT], // tsrange
  [3910, 3911, TEXT], // tstzrange
  [3912, 3913, TEXT], // daterange
  [3926, 3927, TEXT], // int8range
];

/** How the built-in types are written, by oid. */
export const BUILT_IN_TYPES: ReadonlyMap<number, ValueType> = new Map([
  ...BUILT_IN.flatMap(([oid, arrayOid, type]): [number, ValueType][] => [
    [oid, type],
    [arrayOid, { kind: 'array', element: type, delimiter: COMMA }],
  ]),
  [603, TEXT], // box, the one type whose arrays are delimited by ;
  [1020, { kind: 'array', element: TEXT, delimiter: SEMICOLON }],
  [22, { kind: 'vector', element: scalar.integer }],
  [30, { kind: 'vector', element: TEXT }],
]);

/** Whether composites are part of the type: ALTER TYPE changes them without a word to the tables that hold them. */
export function holdsComposite(type: ValueType): boolean {
  if (type.kind === 'array') return holdsComposite(type.element);
  return type.kind === 'composite';
}

/**
 * Whether the text of a value of this type may be lost in what was written, once that is jsonb. Where it is,
 * history keeps the text beside the payload.
 */
export function mayLoseText(type: ValueType): boolean {
  return type.kind === 'float' || losesText(type);
}

/**
 * Whether the text `source[start, end)` is lost: that of a JSON value in any case; of a float the sign of zero, and the
 * exponent, because jsonb writes out all digits.
 */
export function isTextLost(type: ValueType, source: Uint8Array, start: number, end: number): boolean {
  if (type.kind !== 'float') return losesText(type);
  const isMinusZero = end - start === 2 && source[start] === MINUS && source[start + 1] === ZERO;
  return isMinusZero || hasExponent(source, start, end);
}

// Of few digits, looked at from behind: `1.5e-07`, `1e+300`.
function hasExponent(source: Uint8Array, start: number, end: number): boolean {
  for (let at = end - MIN_EXPONENT_BYTES; at >= start && at >= end - MAX_EXPONENT_BYTES; at--) {
    if (source[at] === LETTER_E) return true;
  }
  return false;
}

function losesText({ kind }: ValueType): boolean {
  return kind === 'json' || kind === 'array' || kind === 'vector' || kind === 'composite';
}

// Owns the requests that a property test makes from an operation of the OpenAPI document: valid ones, and ones with one
// thing wrong that the document, or the transport, forbids. Odd ones may be either.

import fc from 'fast-check';
import Schema from 'typebox/schema';
import { isHoldable as isHoldableWithin } from '../../server/auth/claims-check.ts';
import type { JsonSchema, Operation, Parameter } from './openapi-operation.ts';

export type FuzzRequest = {
  readonly method: string;
  /** With its query, as it stands on the wire. */
  readonly path: string;
  readonly body?: string | undefined;
  readonly contentType?: string | undefined;
};

/** Values that mean something to the server under test, by the name of the field; drawn as often as made-up ones. */
export type Seeds = Readonly<Record<string, readonly unknown[]>>;

type Arbitrary<T> = fc.Arbitrary<T>;

const JSON_TYPE = 'application/json';
const UNHOLDABLE = ['\0', 'a\0b', '\ud800', 'x\udc00y'];
const PROTOTYPE_NAMES = ['constructor', 'hasOwnProperty', 'toString', 'prototype', '__defineGetter__'];

/** Requests as the document allows them. */
export function validRequest(operation: Operation, seeds: Seeds): Arbitrary<FuzzRequest> {
  const { method, parameters, body } = operation;
  const values = fc.record(
    Object.fromEntries(
      parameters.map((parameter) => [keyOf(parameter), valuesOf(parameter.schema, seeds, parameter.name)]),
    ),
    { requiredKeys: parameters.filter(isRequired).map(keyOf) },
  );
  const given =
    body === undefined ? fc.constant(undefined) : valuesOf(body, seeds).map((value) => JSON.stringify(value));
  return fc.tuple(values, given).map(([texts, text]) => ({
    method,
    path: pathOf(operation, texts),
    ...(text === undefined ? {} : { body: text, contentType: JSON_TYPE }),
  }));
}

/** Requests with one thing wrong; undefined for an operation that takes nothing which could be. */
export function badRequest(operation: Operation, seeds: Seeds): Arbitrary<FuzzRequest> | undefined {
  const valid = validRequest(operation, seeds);
  const kinds = [
    ...operation.parameters.map((parameter) => withParameter(operation, valid, parameter)),
    ...(operation.path.startsWith('/api/') ? [withQuery(valid)] : []),
    ...(operation.method === 'GET' ? [] : [withBrokenBody(valid)]),
    ...(operation.body === undefined ? [] : [withBody(valid, operation.body, seeds)]),
  ];
  return kinds.length === 0 ? undefined : fc.oneof(...kinds);
}

/** Requests that may be valid or not: absurd sizes, depths, encodings, headers. */
export function oddRequest(operation: Operation, seeds: Seeds): Arbitrary<FuzzRequest> {
  const segments = fc.constantFrom(
    '%ED%A0%80',
    '%FF',
    '..',
    '%2e%2e',
    '.',
    '*',
    '%',
    '',
    'a'.repeat(400),
    '%F0%9F%92%A9',
  );
  const paths = segments.map((segment) => operation.path.replaceAll(/\{\w+\}/g, segment));
  const bodies = fc.oneof(
    { arbitrary: fc.jsonValue({ maxDepth: 4 }).map((value) => JSON.stringify(value)), weight: 6 },
    { arbitrary: fc.integer({ min: 10, max: 50_000 }).map((n) => '['.repeat(n) + ']'.repeat(n)), weight: 1 },
    {
      arbitrary: fc.integer({ min: 10, max: 5_000 }).map((n) => `${'{"payload":'.repeat(n)}1${'}'.repeat(n)}`),
      weight: 1,
    },
    {
      arbitrary: fc.constantFrom('1e999', '-0', '1'.repeat(400), `"${'a'.repeat(300_000)}"`, '{"a":1,"a":2}'),
      weight: 1,
    },
    { arbitrary: fc.string({ unit: 'binary', maxLength: 100 }), weight: 1 },
  );
  const queries = fc.constantFrom('', '?', '?&&', '?=', '?limit', '?a[b]=1', `?${'a=1&'.repeat(1_000)}`, '?%');
  const types = fc.constantFrom(JSON_TYPE, 'application/json; charset=utf-16', 'application/json;;', '', '*/*');
  const valid = validRequest(operation, seeds).map(({ path }) => path);
  return fc.tuple(fc.oneof(paths, valid), queries, bodies, types).map(([path, query, body, contentType]) => ({
    method: operation.method,
    path: path.includes('?') ? path : path + query,
    ...(operation.method === 'GET' ? {} : { body, contentType }),
  }));
}

function withParameter(
  operation: Operation,
  valid: Arbitrary<FuzzRequest>,
  parameter: Parameter,
): Arbitrary<FuzzRequest> {
  const texts = fc.constantFrom(...wrongTexts(parameter.schema), ...UNHOLDABLE.filter((text) => text.isWellFormed()));
  if (parameter.in === 'path')
    return fc.tuple(valid, texts).map(([request, text]) => ({
      ...request,
      path: replaceSegment(operation, request.path, parameter.name, encodeURIComponent(text)),
    }));
  const added = fc.oneof(
    texts.map((text) => [`${parameter.name}=${encodeURIComponent(text)}`]),
    fc.constant([`${parameter.name}=1`, `${parameter.name}=2`]),
  );
  return fc.tuple(valid, added).map(([request, pairs]) => ({
    ...request,
    path: withPairs(request.path, parameter.name, pairs),
  }));
}

/** Texts that the schema of a parameter does not take. */
function wrongTexts({ type, format, enum: allowed, minimum, maximum, minLength, maxLength }: JsonSchema): string[] {
  if (type === 'integer') {
    const outside = [minimum, maximum].flatMap((bound, end) =>
      bound === undefined ? [] : bound + (end === 0 ? -1 : 1),
    );
    return ['', 'x', '1.5', '1e3', '0x10', ' 1', '1,2', 'NaN', 'null', '٣', '9'.repeat(30), ...outside.map(String)];
  }
  if (format === 'uuid')
    return ['1', 'null', '{}', `urn:uuid:${UUID}`, `${UUID}0`, UUID.replaceAll('-', ''), `{${UUID}}`];
  if (allowed !== undefined) return ['', 'x', String(allowed[0]).toUpperCase(), `${allowed[0]} `];
  return [
    ...(minLength === undefined ? [] : ['a'.repeat(minLength - 1)]),
    ...(maxLength === undefined ? [] : ['a'.repeat(maxLength + 1)]),
  ];
}

const UUID = '550e8400-e29b-41d4-a716-446655440000';

function withQuery(valid: Arbitrary<FuzzRequest>): Arbitrary<FuzzRequest> {
  const pairs = fc.constantFrom('unknown=1', '__proto__=1', '%00=1', ...PROTOTYPE_NAMES.map((name) => `${name}=1`));
  return fc.tuple(valid, pairs).map(([request, pair]) => ({ ...request, path: withPairs(request.path, '', [pair]) }));
}

/** The body, whatever it should be, is none that can be read. */
function withBrokenBody(valid: Arbitrary<FuzzRequest>): Arbitrary<FuzzRequest> {
  const broken = fc.constantFrom<[string, string]>(
    ...(['{', '{"a":}', 'nul', "{'a':1}", '{"a":1,}', '\ufeff', '{"__proto__":{}}', '[1', '"'] as const).map(
      (text): [string, string] => [text, JSON_TYPE],
    ),
    ['', JSON_TYPE],
    ['<a/>', 'application/xml'],
    ['{}', 'text/html'],
    ['a=1', 'application/x-www-form-urlencoded'],
    ['{}', 'nonsense'],
    ['--x\r\n\r\n{}\r\n--x--', 'multipart/form-data; boundary=x'],
    [`{"a":"${'x'.repeat(5_000_000)}"}`, JSON_TYPE],
  );
  return fc.tuple(valid, broken).map(([request, [body, contentType]]) => ({ ...request, body, contentType }));
}

/** A body that can be read, and that the schema does not take. */
function withBody(valid: Arbitrary<FuzzRequest>, schema: JsonSchema, seeds: Seeds): Arbitrary<FuzzRequest> {
  const checker = Schema.Compile(schema as object);
  const value = valuesOf(schema, seeds);
  const wrong = fc
    .tuple(value, fc.double({ noNaN: true, min: 0, max: 1, maxExcluded: true }), wrongValue())
    .map(([body, where, other]) => changedAt(body, where, other))
    .filter((body) => !checker.Check(body) || !isHoldable(body));
  const named = fc
    .tuple(value, fc.constantFrom(...PROTOTYPE_NAMES, 'unknown', '\0'), fc.jsonValue({ maxDepth: 1 }))
    .map(([body, name, other]) => (isObject(body) ? { ...body, [name]: other } : { [name]: other }))
    .filter((body) => !checker.Check(body));
  return fc.tuple(valid, fc.oneof({ arbitrary: wrong, weight: 3 }, named)).map(([request, body]) => ({
    ...request,
    body: JSON.stringify(body),
    contentType: JSON_TYPE,
  }));
}

function wrongValue(): Arbitrary<unknown> {
  return fc.oneof(
    fc.constantFrom<unknown>(null, true, 0, -1, 1.5, 1e300, 2 ** 53, '', [], {}, REMOVED, ...UNHOLDABLE),
    fc.constantFrom<unknown>('x'.repeat(10_000), [[[[[]]]]], { a: { b: [] } }, ['\0'], { '\0': 1 }),
    fc.string({ unit: 'binary', maxLength: 30 }),
  );
}

const isHoldable = (value: unknown): boolean => isHoldableWithin(value, 64);
const REMOVED = Symbol('left out');

/** A copy of `value` with `other` in the place that `where`, in [0, 1), points at. */
function changedAt(value: unknown, where: number, other: unknown): unknown {
  const keys = isObject(value) ? Object.keys(value) : Array.isArray(value) ? value.map((_, index) => index) : [];
  const place = Math.floor(where * (keys.length + 1));
  if (place === keys.length) return other === REMOVED ? null : other;
  const key = keys[place] as string;
  const inner = (value as Record<string, unknown>)[key];
  const changed = changedAt(inner, where * (keys.length + 1) - place, other);
  if (Array.isArray(value)) return value.map((item, index) => (String(index) === String(key) ? changed : item));
  const rest = Object.fromEntries(Object.entries(value as object).filter(([name]) => name !== key));
  return other === REMOVED && !isObject(inner) && !Array.isArray(inner) ? rest : { ...rest, [key]: changed };
}

/** Values of a schema; `name` is that of the field. */
function valuesOf(schema: JsonSchema, seeds: Seeds, name = ''): Arbitrary<unknown> {
  const known = [...(Object.hasOwn(seeds, name) ? (seeds[name] ?? []) : []), ...(schema.examples ?? [])];
  const fitting = known.filter((value) => Schema.Compile(schema as object).Check(value));
  const made = madeUp(schema, seeds);
  return fitting.length === 0 ? made : fc.oneof(fc.constantFrom(...fitting), made);
}

function madeUp(schema: JsonSchema, seeds: Seeds): Arbitrary<unknown> {
  const { anyOf, enum: allowed, type, minimum = 0, maximum = 1_000, minItems = 0, maxItems = 5 } = schema;
  if (anyOf !== undefined) return fc.oneof(...anyOf.map((one) => valuesOf(one, seeds)));
  if (allowed !== undefined) return fc.constantFrom(...allowed);
  switch (type) {
    case 'object':
      return objectOf(schema, seeds);
    case 'array':
      return fc.array(valuesOf(schema.items ?? {}, seeds), { minLength: minItems, maxLength: Math.min(maxItems, 5) });
    case 'string':
      return stringOf(schema);
    case 'integer':
      return fc.oneof(fc.constantFrom(minimum, maximum), fc.integer({ min: minimum, max: maximum }));
    case 'boolean':
      return fc.boolean();
    case 'null':
      return fc.constant(null);
    case undefined:
      return fc.jsonValue({ maxDepth: 2 }).filter(isHoldable);
    default:
      throw new Error(`a schema of type ${type} is not known here`);
  }
}

function objectOf({ properties, patternProperties, required = [] }: JsonSchema, seeds: Seeds): Arbitrary<object> {
  if (properties === undefined && patternProperties !== undefined)
    return fc.dictionary(fc.string({ maxLength: 10 }), fc.jsonValue({ maxDepth: 1 })).filter(isHoldable);
  const fields = Object.entries(properties ?? {}).map(([name, schema]) => [name, valuesOf(schema, seeds, name)]);
  return fc.record<Record<string, unknown>>(Object.fromEntries(fields), { requiredKeys: [...required] });
}

function stringOf({ format, minLength = 0, maxLength = 60 }: JsonSchema): Arbitrary<string> {
  if (format === 'uuid') return fc.uuid();
  const limits = { minLength, maxLength: Math.min(maxLength, 60) };
  return fc.oneof(fc.string(limits), fc.string({ ...limits, unit: 'grapheme' })).filter(isHoldable);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

const isRequired = ({ in: place, required }: Parameter): boolean => place === 'path' || required === true;
const keyOf = ({ in: place, name }: Parameter): string => `${place} ${name}`;

function pathOf({ path, parameters }: Operation, values: Readonly<Record<string, unknown>>): string {
  let filled = path;
  const pairs: string[] = [];
  for (const parameter of parameters) {
    const value = values[keyOf(parameter)];
    if (value === undefined) continue;
    const text = encodeURIComponent(String(value));
    if (parameter.in === 'path') filled = filled.replace(`{${parameter.name}}`, text);
    else pairs.push(`${parameter.name}=${text}`);
  }
  return pairs.length === 0 ? filled : `${filled}?${pairs.join('&')}`;
}

function replaceSegment({ path: template }: Operation, path: string, name: string, text: string): string {
  const place = template.split('/').indexOf(`{${name}}`);
  return path.split('/').with(place, text).join('/');
}

function withPairs(path: string, name: string, pairs: readonly string[]): string {
  const [plain = '', query = ''] = path.split('?');
  const others = query.split('&').filter((pair) => pair !== '' && pair.split('=')[0] !== name);
  return `${plain}?${[...others, ...pairs].join('&')}`;
}

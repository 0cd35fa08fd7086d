// Owns the reading of an OpenAPI document for tests that make requests from it: one operation, its parameters and
// the schema of its body.

export type JsonSchema = {
  readonly type?: string;
  readonly anyOf?: readonly JsonSchema[];
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly patternProperties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
  readonly items?: JsonSchema;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly format?: string;
  readonly examples?: readonly unknown[];
};

export type Parameter = {
  readonly in: 'path' | 'query';
  readonly name: string;
  readonly required?: boolean;
  readonly schema: JsonSchema;
};

export type Operation = {
  /** `get /api/realtime/channels/{id}` */
  readonly name: string;
  readonly method: string;
  readonly path: string;
  readonly parameters: readonly Parameter[];
  /** Undefined where it takes none. */
  readonly body: JsonSchema | undefined;
  readonly statuses: ReadonlySet<number>;
};

type Content = { readonly schema: JsonSchema; readonly example?: unknown };
type Raw = {
  readonly parameters?: readonly Parameter[];
  readonly requestBody?: { readonly content: Readonly<Record<string, Content>> };
  readonly responses: Readonly<Record<string, unknown>>;
};

/** All operations of the document that `baseUrl` serves, but for streams: their answers do not end. */
export async function readOperations(baseUrl: string): Promise<readonly Operation[]> {
  const answer = await fetch(`${baseUrl}/openapi.json`);
  const { paths } = (await answer.json()) as { paths: Record<string, Record<string, Raw>> };
  return Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods)
      .filter(([, { responses }]) => !isStream(responses['200']))
      .map(([method, raw]) => operationOf(method, path, raw)),
  );
}

function isStream(response: unknown): boolean {
  const { content = {} } = (response ?? {}) as { content?: object };
  return Object.hasOwn(content, 'text/event-stream');
}

function operationOf(method: string, path: string, { parameters = [], requestBody, responses }: Raw): Operation {
  const content = requestBody?.content['application/json'];
  const body = content?.example === undefined ? content?.schema : { ...content.schema, examples: [content.example] };
  const statuses = new Set(Object.keys(responses).map(Number));
  return { name: `${method} ${path}`, method: method.toUpperCase(), path, parameters, body, statuses };
}

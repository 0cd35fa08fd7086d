// The public types of the client. The wire is described in docs/protocol.md; names are the same there.

/** `<epoch>-<commit LSN>-<index>`; text order is the order of messages. */
export type Position = string;

export type RowEvent = 'INSERT' | 'UPDATE' | 'DELETE' | 'TRUNCATE';

export interface Message<Payload = unknown> {
  readonly type: 'message';
  readonly channel: string;
  readonly event: string;
  readonly payload: Payload;
  /** Stable: the same message has the same id and position for ever. */
  readonly messageId?: string;
  /** Absent on messages that are never written. */
  readonly position?: Position;
  readonly senderId?: string | null;
  readonly timestamp?: string;
  readonly subscriptionId?: string;
}

/** The payload on `db:` channels. */
export interface RowChange<Row = Record<string, unknown>> {
  readonly schema: string;
  readonly table: string;
  readonly eventType: RowEvent;
  readonly commit_timestamp: string;
  readonly new: Row | null;
  /** The row under REPLICA IDENTITY FULL, else its key. */
  readonly old: Partial<Row> | null;
  /** Columns that Postgres did not send again. */
  readonly unchanged?: readonly string[];
  /** The event in the database, where a row entered or left the view by an UPDATE. */
  readonly cause?: 'UPDATE';
  /** The row was too large for a message: only its key is here. */
  readonly truncated?: true;
}

export interface Filter {
  /** One name, a list, or `*`; on `db:` channels row events in upper case. */
  readonly event?: string | readonly string[];
  /** Schema of the table; default `public`. */
  readonly schema?: string;
  /** Rows wanted of a table, e.g. `{ status: 'open', total: { gt: 100 } }`; see docs/protocol.md. */
  readonly where?: Where;
  /** Columns wanted of a table; the key is always among them. */
  readonly columns?: readonly string[];
}

export type WhereScalar = string | number | boolean;
/** Arrays are values of array columns. */
export type WhereValue = WhereScalar | readonly WhereItem[];
export type WhereItem = WhereScalar | null | readonly WhereItem[];

export interface WhereOperators {
  readonly eq?: WhereValue;
  readonly neq?: WhereValue;
  readonly gt?: WhereValue;
  readonly gte?: WhereValue;
  readonly lt?: WhereValue;
  readonly lte?: WhereValue;
  readonly in?: readonly WhereValue[];
  readonly like?: string;
  readonly ilike?: string;
  readonly is?: null | boolean | 'not null';
}

/** Columns, and `and`, `or` (lists), `not`; several keys are joined by AND. */
export interface Where {
  readonly [columnOrLogic: string]: WhereScalar | null | WhereOperators | Where | readonly Where[];
}

export interface Warning {
  readonly code: string;
  readonly message: string;
}

/** What happened to a subscription. */
export type SubscriptionStatus =
  /** Messages come from here on; again after every reconnect. */
  | {
      readonly type: 'subscribed';
      readonly subscriptionId: string;
      readonly position: Position;
      readonly warnings: readonly Warning[];
    }
  /** The replay since the last position is through: nothing is missed from here on. Only where `since` was asked for. */
  | { readonly type: 'live'; readonly position: Position }
  /** The server left messages out to save itself; they are being asked for, as after a reconnect. */
  | { readonly type: 'behind' }
  /** Messages may be missing: load the data again. */
  | { readonly type: 'gap'; readonly reason: string; readonly from: Position | null; readonly to: Position }
  /** The connection is gone; it is being made again. */
  | { readonly type: 'disconnected' }
  /** Refused for good, or ended by the server. */
  | { readonly type: 'ended'; readonly reason: string };

export interface SubscribeOptions<Payload = unknown> {
  readonly filter?: Filter;
  /** Exclusive: messages after this position (or messageId) are asked for. */
  readonly since?: Position;
  /** False: not what this client itself publishes. Says nothing of `db:` channels. Default true. */
  readonly echo?: boolean;
  readonly onMessage?: (message: Message<Payload>) => void;
  readonly onStatus?: (status: SubscriptionStatus) => void;
}

export interface PublishOptions {
  /**
   * A UUID of your own: published again with it within 24 hours, it is the same message with the same messageId. So
   * it is safe to repeat what was not answered. Not as anon, and not where nothing is persisted.
   */
  readonly id?: string;
}

export interface Published {
  readonly messageId: string;
}

export interface Subscription {
  readonly channel: string;
  /** Given by the server, another one after each reconnect; null while not subscribed. */
  readonly subscriptionId: string | null;
  /** The last position seen; asked for as `since` after a reconnect. */
  readonly position: Position | null;
  /** Resolves when it is subscribed for the first time; rejects with a RowcastError if it never will be. */
  readonly ready: Promise<void>;
  /** Resolves when the server has confirmed, or at once without a connection. No message comes after the call. */
  unsubscribe(): Promise<void>;
}

/** One change of a live copy, after it was applied. */
export type TableChange<Row = Record<string, unknown>> =
  | { readonly type: 'insert'; readonly row: Row; readonly old: null }
  /** `old` is the row as the copy held it, under its former key if that changed. */
  | { readonly type: 'update'; readonly row: Row; readonly old: Row }
  | { readonly type: 'delete'; readonly row: null; readonly old: Row }
  /** No row is left. */
  | { readonly type: 'truncate'; readonly row: null; readonly old: null }
  /** All rows were replaced by those of a snapshot. */
  | { readonly type: 'reset'; readonly row: null; readonly old: null };

/**
 * `loading`: the first rows are on their way. `live`: the rows are those of the table, and every change arrives.
 * `stale`: they are those of a moment ago; the connection is lost, or what was missed is being fetched. `ended`: closed,
 * refused, or ended by the server.
 */
export type TableStatus = 'loading' | 'live' | 'stale' | 'ended';

export interface TableOptions {
  /** Schema of the table; default `public`. */
  readonly schema?: string;
  readonly where?: Where;
  /** Columns wanted; the key is always among them. */
  readonly columns?: readonly string[];
  /** Columns that name a row; default: those that the server says, the primary key as a rule. */
  readonly key?: readonly string[];
}

/** Rows of a table that are visible to this client, kept up to date. */
export interface LiveTable<Row = Record<string, unknown>> {
  /** In the order in which they came; a change leaves a row in its place. The same array until something changes. */
  readonly rows: readonly Row[];
  readonly size: number;
  readonly status: TableStatus;
  /** Why it ended, unless it was closed. */
  readonly error: RowcastError | null;
  /** What the server says will not come, e.g. rows that leave the view without REPLICA IDENTITY FULL. */
  readonly warnings: readonly Warning[];
  /** The last position seen. */
  readonly position: Position | null;
  /** Resolves when it is live for the first time; rejects with a RowcastError if it never will be. */
  readonly ready: Promise<void>;
  /** The row with this key: a value, or an object with the columns of the key if there are several. */
  get(key: unknown): Row | undefined;
  /**
   * Whether all columns of a row are there: a row larger than a message has its key alone, and a large value that
   * Postgres did not send again may be unknown.
   */
  isWhole(row: Row): boolean;
  /** Listens to changes; returns the function that stops it. */
  onChange(listener: (change: TableChange<Row>) => void): () => void;
  onStatus(listener: (status: TableStatus) => void): () => void;
  /**
   * Takes all rows anew: after something else than the table changed what may be seen, e.g. a membership or the claims
   * of a renewed token. Another user or role is noticed by itself.
   */
  refresh(): void;
  /** Ends it; the rows stay as they are. */
  close(): Promise<void>;
}

export type ClientStatus = 'idle' | 'connecting' | 'connected' | 'waiting' | 'closed';

export interface ClientEvents {
  status: (status: ClientStatus) => void;
  /**
   * Refused requests, failed listeners, and the reason why the client gave up. Without a listener for it, what a
   * listener of the application threw is thrown again, outside of the client.
   */
  error: (error: RowcastError) => void;
  /**
   * The server's stream from the database: `streaming`, `stalled`, `slot_lost`, `standby`. On a new connection it is
   * streaming unless this says otherwise.
   */
  system: (frame: { readonly status: string; readonly lagBytes: number | null; readonly since: string }) => void;
  /** A token given as text is about to expire: call `authenticate` with another. */
  tokenExpiring: (frame: { readonly expiresAt: string }) => void;
}

/** As text, or asked for whenever one is needed: at each connect, and shortly before the last one expires. */
export type TokenSource = string | (() => string | Promise<string>);

/** The part of a WebSocket that the client uses. `never` lets every kind of event fit. */
export interface WebSocketLike {
  onopen: ((event: never) => void) | null;
  onmessage: ((event: never) => void) | null;
  onerror: ((event: never) => void) | null;
  onclose: ((event: never) => void) | null;
  send(data: string): void;
  close(code?: number, reason?: string): void;
}

export interface ClientOptions {
  /** Absent: no token is sent, for servers that allow anonymous connections. */
  readonly token?: TokenSource;
  /** Constructor of sockets; default: the global WebSocket. */
  readonly webSocket?: new (
    url: string,
  ) => WebSocketLike;
  /** Waits between attempts: doubling from `initialMs` (250) to `maxMs` (30,000), the upper half at random. */
  readonly backoff?: { readonly initialMs?: number; readonly maxMs?: number };
  /** A connection that lasted this long starts the backoff again. Default 10,000. */
  readonly stableAfterMs?: number;
  /** Least wait after the server said "too many frames". Default 5,000. */
  readonly tooManyFramesWaitMs?: number;
  /** From the start of an attempt to its authentication. Default 15,000. */
  readonly connectTimeoutMs?: number;
  /** Silence after which the server is asked whether it is there. Default 30,000. */
  readonly idleMs?: number;
  /** How long its answer may take. Default 10,000. */
  readonly pongTimeoutMs?: number;
}

export interface Client {
  readonly status: ClientStatus;
  /** Who the server says this is; null while not authenticated. */
  readonly identity: { readonly userId: string | null; readonly role: string } | null;
  /** Connects and stays connected. Resolves when authenticated for the first time; rejects if it gives up. */
  connect(): Promise<void>;
  /** Connects if need be. Survives reconnects: the handle stays the same, missed messages are asked for. */
  subscribe<Payload = unknown>(channel: string, options?: SubscribeOptions<Payload>): Subscription;
  /**
   * A live copy of a table: `posts`, or `audit.posts`, written as in the channel `db:<name>`. Takes new rows by itself
   * whenever what was missed cannot be had.
   */
  table<Row = Record<string, unknown>>(name: string, options?: TableOptions): LiveTable<Row>;
  /**
   * Publishes any JSON (default null); needs no subscription. Resolves once it is committed. Rejects with a RowcastError:
   * what is `retryable`, like a connection that is lost or not there (`disconnected`), may or may not have been
   * published, and is safe to repeat with an `id`.
   */
  publish(channel: string, event: string, payload?: unknown, options?: PublishOptions): Promise<Published>;
  /** Takes another token from here on, and renews the connection with it. Rejects if the server refuses it. */
  authenticate(token: TokenSource): Promise<void>;
  /** Resolves when the server has answered; rejects while there is no connection, or when it is lost. */
  ping(): Promise<void>;
  /** Listens; returns the function that stops it. */
  on<Name extends keyof ClientEvents>(name: Name, listener: ClientEvents[Name]): () => void;
  /** Ends everything. Resolves when the socket is closed. */
  close(): Promise<void>;
}

/**
 * `code` is that of an error frame, the reason of an `unsubscribed` frame, or `closed`, `disconnected`, `gave_up`,
 * `listener_failed`, `no_key`, `token_failed`.
 */
export declare class RowcastError extends Error {
  readonly code: string;
  readonly retryable: boolean;
  constructor(code: string, message: string, options?: { retryable?: boolean; cause?: unknown });
}

/** `url`: `ws://host/realtime` or `wss://…`; for `http(s)://host` the scheme and the path are completed. */
export declare function createClient(url: string, options?: ClientOptions): Client;

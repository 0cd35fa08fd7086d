// Owns a live copy over a scripted server, and the frames that a test has it say.

import {
  type Client,
  createClient,
  type LiveTable,
  type RowcastError,
  type TableChange,
  type TableOptions,
  type TableStatus,
} from '../../client/rowcast.js';
import { type Asked, positionAt, scriptedServer, subscribable, type Tell } from './scripted-server.ts';

export const backoff = { initialMs: 1, maxMs: 5 };

export type Row = { readonly id: number; readonly title?: string };

/** A copy of one table; `tell` says more on the last subscription. */
export type Scene = AsyncDisposable & {
  readonly client: Client;
  readonly table: LiveTable<Row>;
  readonly asked: Asked[];
  readonly changes: TableChange<Row>[];
  readonly statuses: TableStatus[];
  readonly errors: RowcastError[];
  readonly tell: Tell;
  readonly cut: (code?: number) => void;
};

/** Opens a copy; `onAsked` answers the nth `subscribe`, counted from 1. */
export async function scene(
  onAsked: (n: number, tell: Tell, frame: Asked) => void,
  options: TableOptions = {},
): Promise<Scene> {
  const asked: Asked[] = [];
  let subscribes = 0;
  let last: Tell = () => {};
  let cut: (code?: number) => void = () => {};
  const server = await scriptedServer((socket) => {
    cut = (code = 1012) => socket.close(code);
    subscribable(socket, (frame, tell) => {
      asked.push(frame);
      last = tell;
      if (frame.type === 'subscribe') onAsked(++subscribes, tell, frame);
    });
  });
  const client = createClient(server.url, { token: 'x', backoff });
  const errors: RowcastError[] = [];
  client.on('error', (error) => errors.push(error));
  const table = client.table<Row>('posts', options);
  const changes: TableChange<Row>[] = [];
  const statuses: TableStatus[] = [];
  table.onChange((change) => changes.push(change));
  table.onStatus((status) => statuses.push(status));
  return {
    client,
    table,
    asked,
    changes,
    statuses,
    errors,
    tell: (frame) => last(frame),
    cut: (code) => cut(code),
    [Symbol.asyncDispose]: async () => {
      await client.close();
      await server[Symbol.asyncDispose]();
    },
  };
}

/** A row by its number. */
export const row = (id: number, title = `row ${id}`): Row => ({ id, title });

/** The reply, a snapshot of `rows`, and `live`. */
export function fill(tell: Tell, ref: unknown, lsn: number, rows: readonly Row[], more: object = {}): void {
  tell({ type: 'subscribed', position: positionAt(lsn), ref, ...more });
  tell({ type: 'snapshot', key: ['id'], rows, done: true });
  tell({ type: 'live', position: positionAt(lsn) });
}

/** A message about one row. */
export function change(lsn: number, eventType: string, values: Row | null, old: object | null, more: object = {}) {
  const payload = { schema: 'public', table: 'posts', eventType, new: values, old, ...more };
  return { type: 'message', event: eventType, payload, position: positionAt(lsn) };
}

/** The `subscribe` frames that were sent. */
export const subscribes = ({ asked }: Scene): Asked[] => asked.filter(({ type }) => type === 'subscribe');

// Owns many lean subscribers in a process of their own, so that neither the server's event loop nor the
// test's carries them. Runs as the child (`readers.ts` starts it); both ends talk over the IPC channel.

import { RawReader, type ReaderReport, type ReaderWish } from './raw-reader.ts';

export type ReaderOrder =
  | (ReaderWish & {
      readonly kind: 'subscribe';
      readonly names: readonly string[];
      readonly port: number;
      readonly token: string;
      readonly channel: string;
    })
  | { readonly kind: 'stall' | 'resume' | 'again'; readonly name: string }
  | { readonly kind: 'report' };

export type ReaderAnswer =
  | { readonly kind: 'done' }
  | { readonly kind: 'failed'; readonly message: string }
  | { readonly kind: 'reports'; readonly reports: readonly ReaderReport[] };

const readers = new Map<string, RawReader>();

process.on('message', (order: ReaderOrder) => {
  obey(order).then(
    (answer) => process.send?.(answer),
    (error: Error) => process.send?.({ kind: 'failed', message: error.message } satisfies ReaderAnswer),
  );
});
process.on('disconnect', () => process.exit(0));

async function obey(order: ReaderOrder): Promise<ReaderAnswer> {
  switch (order.kind) {
    case 'subscribe':
      for (const reader of await Promise.all(order.names.map((name) => subscribe(name, order)))) {
        readers.set(reader.report().name, reader);
      }
      return { kind: 'done' };
    case 'stall':
      readers.get(order.name)?.stall();
      return { kind: 'done' };
    case 'resume':
      readers.get(order.name)?.resume();
      return { kind: 'done' };
    case 'again':
      await readers.get(order.name)?.again();
      return { kind: 'done' };
    case 'report':
      return { kind: 'reports', reports: [...readers.values()].map((reader) => reader.report()) };
  }
}

function subscribe(name: string, order: Extract<ReaderOrder, { kind: 'subscribe' }>): Promise<RawReader> {
  return RawReader.subscribe(name, order.port, order.token, order.channel, order);
}

// Owns the dying at failpoints (failpoints.ts): loaded before the server, it takes orders over the IPC channel and
// kills the process, at once and without a word, when the armed place is passed.

import type { FailpointOrder } from './failpoints.ts';

let armed: FailpointOrder = { nth: 0 };
let passings = 0;

process.on('message', (order: FailpointOrder) => {
  armed = order;
  passings = 0;
  process.send?.('heard');
});
// The server ends when its own work does.
process.channel?.unref();

Object.assign(globalThis, {
  rowcastFailpoint: (name: string): void => {
    if (name !== armed.name || ++passings < armed.nth) return;
    process.kill(process.pid, 'SIGKILL');
  },
});

// Owns the answering side of a measured process: calls come in over IPC, one handler each; `usage` is
// everywhere the same. The process ends by itself once the parent lets go and nothing is left open.

import type { Answer, Call, Usage } from '../measured-process.ts';

// biome-ignore lint/suspicious/noExplicitAny: each handler knows its own argument; both ends are in this folder.
type Handler = (argument: any) => unknown;

export type Handlers = Readonly<Record<string, Handler>> & { readonly stop?: () => unknown };

/** Answers calls until the parent lets go. */
export function answerCalls(handlers: Handlers): void {
  const all: Handlers = { stop: () => undefined, ...handlers, usage };
  process.on('message', (call: Call) => void answer(all, call));
}

async function answer(handlers: Handlers, { id, name, argument }: Call): Promise<void> {
  send(
    await Promise.resolve()
      .then(() => (handlers[name] as Handler)(argument))
      .then(
        (value): Answer => ({ id, value }),
        (error): Answer => ({ id, failure: error instanceof Error ? (error.stack ?? error.message) : String(error) }),
      ),
  );
}

function send(message: Answer): void {
  if (process.connected) process.send?.(message);
}

function usage(): Usage {
  const { user, system } = process.cpuUsage();
  return { cpuMicros: user + system, peakRssBytes: process.resourceUsage().maxRSS * 1024 };
}

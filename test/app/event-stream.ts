// Owns a reader of server-sent events for tests: it keeps every event as the wire has it, with its id, and the comments.
// How a browser reads them is tested with a browser.

import { until } from '../rig/until.ts';

export type StreamEvent = { readonly event: string; readonly data: string; readonly id: string | undefined };

export class EventStream {
  readonly events: StreamEvent[] = [];
  readonly comments: string[] = [];
  /** What an EventSource would send as Last-Event-ID. */
  lastEventId: string | undefined;
  retry: number | undefined;
  isEnded = false;
  readonly #abort: AbortController;
  readonly headers: Headers;

  /** Opens a stream; throws what it was refused with. */
  static async open(url: string, headers: Readonly<Record<string, string>> = {}): Promise<EventStream> {
    const abort = new AbortController();
    const response = await fetch(url, { headers, signal: abort.signal });
    if (response.status !== 200) throw new Error(`${response.status} ${await response.text()}`);
    return new EventStream(response, abort);
  }

  private constructor(response: Response, abort: AbortController) {
    this.headers = response.headers;
    this.#abort = abort;
    void this.#read(response);
  }

  /** The data of events without a name, parsed. */
  // biome-ignore lint/suspicious/noExplicitAny: JSON of many shapes
  data(): any[] {
    return this.events.filter(({ event }) => event === 'message').map(({ data }) => JSON.parse(data));
  }

  /** Waits for `count` frames of `type`, or of any. */
  // biome-ignore lint/suspicious/noExplicitAny: JSON of many shapes
  async received(count: number, type?: string): Promise<any[]> {
    // biome-ignore lint/suspicious/noExplicitAny: JSON of many shapes
    const wanted = (): any[] => this.data().filter((frame) => type === undefined || frame.type === type);
    await until(() => wanted().length >= count, { what: `${count} ${type ?? 'events'}` });
    return wanted();
  }

  ended(): Promise<unknown> {
    return until(() => this.isEnded, { what: 'the stream to end' });
  }

  close(): void {
    this.#abort.abort();
  }

  async #read(response: Response): Promise<void> {
    let text = '';
    const decoder = new TextDecoder();
    try {
      for await (const chunk of response.body ?? []) {
        text += decoder.decode(chunk, { stream: true });
        const blocks = text.split('\n\n');
        text = blocks.pop() ?? '';
        for (const block of blocks) this.#take(block.split('\n'));
      }
    } catch {
      // Cut, by either side.
    }
    this.isEnded = true;
  }

  #take(lines: readonly string[]): void {
    const field = (name: string): string[] =>
      lines.filter((line) => line.startsWith(`${name}: `)).map((line) => line.slice(name.length + 2));
    this.comments.push(...lines.filter((line) => line.startsWith(':')));
    const [id] = field('id');
    if (id !== undefined) this.lastEventId = id;
    const [retry] = field('retry');
    if (retry !== undefined) this.retry = Number(retry);
    const data = field('data');
    if (data.length > 0) this.events.push({ event: field('event')[0] ?? 'message', data: data.join('\n'), id });
  }
}

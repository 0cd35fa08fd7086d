// Owns what is known about the stream: whether changes flow, since when, and why not. One value, replaced as
// a whole; `system` frames, /readyz and metrics all read it.

import type { ServerFrame, StreamStatus } from '../protocol/server-frame.ts';

export type StatusReport = {
  readonly status: StreamStatus;
  /** Why it does not flow; null while it does. */
  readonly reason: string | null;
  /** Wall-clock time of the last change of `status`. */
  readonly since: Date;
};

export class StreamState {
  readonly #listeners: ((report: StatusReport) => void)[];
  #report: StatusReport;

  /** Starts as stalled: nothing flows until a stream is open. */
  constructor(onChange: (report: StatusReport) => void) {
    this.#listeners = [onChange];
    this.#report = { status: 'stalled', reason: 'starting', since: new Date() };
  }

  /** `listener` is told of each change of status from now on. */
  listen(listener: (report: StatusReport) => void): void {
    this.#listeners.push(listener);
  }

  get report(): StatusReport {
    return this.#report;
  }

  /** Tells a change of status once; the same status again only updates its reason. */
  set(status: StreamStatus, reason: string | null): void {
    const isChange = status !== this.#report.status;
    this.#report = { status, reason, since: isChange ? new Date() : this.#report.since };
    if (isChange) for (const listener of this.#listeners) listener(this.#report);
  }
}

/** What clients are told of it. */
export function systemFrame({ status, since }: StatusReport, lagBytes: number | null): ServerFrame {
  return { type: 'system', status, lagBytes, since: since.toISOString() };
}

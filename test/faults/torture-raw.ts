// Owns a subscriber that speaks the bare protocol and behaves badly at random: it stops reading, drops its
// connection, subscribes again, comes back from further back than it has seen. It notes everything in its trails.

import { setTimeout as sleep } from 'node:timers/promises';
import { RawLink, type RawLinkOptions } from './torture-link.ts';
import type { Subscriber } from './torture-subscriber.ts';
import type { Trail } from './torture-trail.ts';

export type RawSubscriberOptions = RawLinkOptions & {
  readonly trails: readonly Trail[];
  readonly random: () => number;
};

/** How far back a rewind goes at most, in entries of the trail. */
const REWIND_ENTRIES = 300;

export class RawSubscriber implements Subscriber {
  readonly #options: RawSubscriberOptions;
  readonly #running: Promise<void>;
  #link: RawLink | undefined;
  #isCalm = false;
  #isStopped = false;

  constructor(options: RawSubscriberOptions) {
    this.#options = options;
    this.#running = this.#run();
  }

  get trails(): readonly Trail[] {
    return this.#options.trails;
  }

  calm(): void {
    this.#isCalm = true;
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#link?.terminate();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { trails, random } = this.#options;
    while (!this.#isStopped) {
      const link = new RawLink(this.#options);
      this.#link = link;
      for (const trail of trails) link.subscribe(trail);
      while (!link.isEnded && !this.#isStopped) await this.#act(link);
      await link.ended;
      await sleep(20 + random() * 150);
    }
  }

  async #act(link: RawLink): Promise<void> {
    const { random } = this.#options;
    await Promise.race([sleep(100 + random() * 2_000), link.ended]);
    if (this.#isCalm || link.isEnded) return;
    const act = random();
    if (act < 0.25) return this.#pause(link);
    if (act < 0.4) return link.terminate();
    if (act < 0.5) return link.close();
    if (act < 0.65) return link.resubscribe(this.#someTrail(), 'resume');
    if (act < 0.75) return this.#snapshot(link);
    if (act < 0.85) return this.#rewind(link);
  }

  async #pause(link: RawLink): Promise<void> {
    const { random } = this.#options;
    link.pause();
    await sleep(random() < 0.2 ? 4_000 : 50 + random() * 800);
    link.resume();
  }

  #snapshot(link: RawLink): void {
    const trail = this.#someTrail();
    if (trail.interest.channel.startsWith('db:')) link.resubscribe(trail, 'snapshot');
  }

  // As an application that forgot the last that it saw.
  #rewind(link: RawLink): void {
    link.terminate();
    const { random } = this.#options;
    for (const trail of this.trails) {
      const back = Math.floor(random() * Math.min(REWIND_ENTRIES, trail.entries.length));
      const entry = trail.entries.at(-1 - back);
      if (entry?.kind === 'message') trail.position = entry.seen.position;
    }
  }

  #someTrail(): Trail {
    return this.trails[Math.floor(this.#options.random() * this.trails.length)] as Trail;
  }
}

// Owns who may post a webhook, before anything of its body is read: whoever knows the slug of a source, as often as its
// rate allows. Requests to slugs that do not exist are limited by their address, so that guessing burdens no database.

import type { FastifyRequest } from 'fastify';
import { AddressLimit } from '../auth/address-limit.ts';
import type { Metrics } from '../stats/metrics.ts';
import type { IntakeLookup, IntakeSource } from '../webhooks/source-intake.ts';
import { limitAddress } from './client-address.ts';
import type { HttpRefusal } from './http-refusal.ts';
import { KeyedRate } from './keyed-rate.ts';

export type WebhookRates = {
  readonly perSecondPerSource: number;
  readonly unknownPerMinutePerAddress: number;
};

export type WebhookAdmissionOptions = {
  /** Rejects when the database cannot be asked. */
  readonly find: (slug: string) => Promise<IntakeLookup>;
  /** Undefined: rate limits are off. */
  readonly rates: WebhookRates | undefined;
  readonly metrics: Pick<Metrics, 'rateLimited'>;
  /** Milliseconds of a monotonic clock. */
  readonly now: () => number;
};

export type Admission =
  | { readonly ok: true; readonly source: IntakeSource }
  | { readonly ok: false; readonly refusal: HttpRefusal };

export const NO_SUCH_SLUG: HttpRefusal = { statusCode: 404, error: 'not_found', message: 'No such webhook URL' };
export const TOO_MANY_WAIT: HttpRefusal = {
  statusCode: 503,
  error: 'unavailable',
  message: 'Too many webhooks are under way; try again',
};

export class WebhookAdmission {
  readonly #options: WebhookAdmissionOptions;
  readonly #unknown: AddressLimit | undefined;
  readonly #sources: KeyedRate | undefined;

  constructor(options: WebhookAdmissionOptions) {
    const { rates, now } = options;
    this.#options = options;
    if (rates === undefined) return;
    const { perSecondPerSource: perSecond, unknownPerMinutePerAddress: perWindow } = rates;
    this.#unknown = new AddressLimit({ perWindow, windowMs: 60_000, now });
    // The burst is twice the rate, as with frames.
    this.#sources = new KeyedRate({ perSecond, burst: perSecond * 2, now });
  }

  /** The source that `slug` means, or the refusal to answer with. Rejects when the database cannot be asked. */
  async admit(request: FastifyRequest, slug: string): Promise<Admission> {
    const address = limitAddress(request);
    const blockedMs = this.#unknown?.blockedMs(address) ?? 0;
    if (blockedMs > 0) return this.#refuseRate('Too many webhooks to unknown slugs from this address', blockedMs);
    const found = await this.#options.find(slug);
    if (found.kind === 'unavailable') return { ok: false, refusal: TOO_MANY_WAIT };
    if (found.kind === 'unknown') {
      this.#unknown?.note(address);
      return { ok: false, refusal: NO_SUCH_SLUG };
    }
    const waitMs = this.#sources?.take(found.source.id, 1) ?? 0;
    if (waitMs > 0) return this.#refuseRate('Too many webhooks to this slug at once', waitMs, this.#sources?.perSecond);
    return { ok: true, source: found.source };
  }

  #refuseRate(message: string, retryAfterMs: number, limit?: number): Admission {
    this.#options.metrics.rateLimited.inc({ kind: 'webhooks_in' });
    return { ok: false, refusal: { statusCode: 429, error: 'rate_limited', message, retryAfterMs, limit } };
  }
}

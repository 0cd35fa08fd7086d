// Owns the text of commit times: RFC 3339 in UTC, with microseconds only if they are not zero. Neighbouring
// transactions mostly commit within one second, so the text of the last one is kept.

const POSTGRES_EPOCH_SECONDS = 946_684_800;
const MICROS_PER_SECOND = 1_000_000;

export class CommitTimeFormat {
  #second = Number.NaN;
  /** Of `#second`, without fraction and zone. */
  #text = '';

  /** Formats microseconds since 2000-01-01 UTC, as pgoutput counts; exact within 285 years of it. */
  format(micros: bigint): string {
    const whole = Number(micros);
    const second = Math.floor(whole / MICROS_PER_SECOND);
    if (second !== this.#second) this.#keep(second);
    let fraction = whole - second * MICROS_PER_SECOND;
    if (fraction === 0) return `${this.#text}Z`;
    let digits = 6;
    for (; fraction % 10 === 0; fraction /= 10) digits--;
    return `${this.#text}.${String(fraction).padStart(digits, '0')}Z`;
  }

  #keep(second: number): void {
    this.#second = second;
    this.#text = new Date((second + POSTGRES_EPOCH_SECONDS) * 1000).toISOString().slice(0, 19);
  }
}

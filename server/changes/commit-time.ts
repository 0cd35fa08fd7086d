// Owns the text of a commit time: RFC 3339 in UTC, with microseconds only if they are not zero.

const POSTGRES_EPOCH_MS = 946_684_800_000;

/** Formats microseconds since 2000-01-01 UTC, as pgoutput counts. */
export function formatCommitTime(micros: bigint): string {
  const fraction = ((micros % 1_000_000n) + 1_000_000n) % 1_000_000n;
  const wholeMs = Number((micros - fraction) / 1000n) + POSTGRES_EPOCH_MS;
  const seconds = new Date(wholeMs).toISOString().slice(0, 19);
  if (fraction === 0n) return `${seconds}Z`;
  return `${seconds}.${fraction.toString().padStart(6, '0').replace(/0+$/, '')}Z`;
}

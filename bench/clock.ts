// Owns the clock that processes of one machine share: the monotonic one of the system. `performance.now()`
// counts from the start of each process, so its readings cannot be compared between two.

/** Milliseconds since some moment that is the same in every process of this machine. */
export function sharedNow(): number {
  return Number(process.hrtime.bigint() / 1000n) / 1000;
}

// Owns the two ways of stating a belief: `must` for values that have to be there, `unreachable` for the
// end of an exhaustive switch. Expected refusals are values elsewhere; what fails here is a bug.

/** Returns `value`, or throws with `what` if it is null or undefined. */
export function must<T>(value: T | null | undefined, what: string): T {
  if (value === null || value === undefined) throw new Error(`bug: ${what} is missing`);
  return value;
}

/** Ends an exhaustive switch: does not compile while a case is missing. */
export function unreachable(value: never): never {
  throw new Error(`bug: unexpected value ${JSON.stringify(value)}`);
}

// Owns the counting of places that are held, by key: so many at most, and each given back once.

/** Gives the place back; more than once does nothing. */
export type Place = () => void;

/** Takes one of `limit` places of `key`; undefined if all are held. */
export function takePlace(held: Map<string, number>, key: string, limit: number): Place | undefined {
  const count = held.get(key) ?? 0;
  if (count >= limit) return undefined;
  held.set(key, count + 1);
  let isHeld = true;
  return () => {
    if (isHeld) giveBack(held, key);
    isHeld = false;
  };
}

function giveBack(held: Map<string, number>, key: string): void {
  const left = (held.get(key) ?? 1) - 1;
  if (left === 0) held.delete(key);
  else held.set(key, left);
}

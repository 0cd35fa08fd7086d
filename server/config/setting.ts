// Owns the shape of one setting, and the three ways of stating one: with a default, optional, secret.

import { duration, type Kind } from './kinds.ts';

export type Setting<T> = {
  readonly variable: string;
  readonly kind: Kind<T & {}>;
  /** As text, so that the table reads as the documentation does. Undefined: the setting may be absent. */
  readonly fallback: string | undefined;
  readonly about: string;
  /** Never printed. */
  readonly secret: boolean;
};

/** A setting with a default. */
export function setting<T>(variable: string, kind: Kind<T>, fallback: string, about: string): Setting<T> {
  return { variable, kind: kind as Kind<T & {}>, fallback, about, secret: false };
}

/** A setting that may be absent. */
export function optional<T>(variable: string, kind: Kind<T>, about: string): Setting<T | undefined> {
  return { variable, kind: kind as Kind<T & {}>, fallback: undefined, about, secret: false };
}

/** A setting whose value is never printed. */
export function secret<T>(made: Setting<T>): Setting<T> {
  return { ...made, secret: true };
}

/** A time that is waited: 1 ms to a day. */
export const waitTime = (example: string): Kind<number> => duration('1ms', '1d', example);

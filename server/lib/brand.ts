// Owns the nominal typing of strings and bigints that must not be mixed. A branded value is made only by
// the parse function of the file that owns its noun.

declare const brand: unique symbol;

/** `Base` that cannot be confused with another `Base`. */
export type Brand<Base, Name extends string> = Base & { readonly [brand]: Name };

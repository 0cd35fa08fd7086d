// Owns the tokens by which the owners of sources read their streams: which source a token opens, and the end of
// what it opened once the token was rotated, or the source closed or deleted, on this server or on another.
// A token is stored as its sha256 and shown once.

import { createHash, randomBytes } from 'node:crypto';
import type { Pool } from 'pg';

export type TokenSource = {
  readonly sourceId: string;
  readonly slug: string;
  /** `in:<sourceId>`: what its streams are subscriptions of. */
  readonly channel: string;
  /** Names the token that opened it without giving it away. */
  readonly tokenKey: string;
};

/** Called once, when what the token opened has to be closed. */
export type OnSourceEnded = () => void;

type Row = { id: string; slug: string; channel: string; token_key: string };
type Watched = { readonly source: TokenSource; readonly onEnded: OnSourceEnded };

const TOKEN_BYTES = 32;
const TOKEN = /^[A-Za-z0-9_-]{43}$/;

const FIND = {
  name: 'rowcast-source-of-token',
  text: `select id, slug, channel, encode(token_hash, 'hex') as token_key
    from realtime.sources where token_hash = $1 and enabled`,
};
const OPEN = {
  name: 'rowcast-open-source-tokens',
  text: `select encode(token_hash, 'hex') as token_key from realtime.sources where token_hash = any($1) and enabled`,
};

/** A new token, and what is stored of it. */
export function makeToken(): { readonly token: string; readonly hash: Buffer } {
  const token = randomBytes(TOKEN_BYTES).toString('base64url');
  return { token, hash: hashOf(token) };
}

export class SourceTokens {
  readonly #pool: Pick<Pool, 'query'>;
  readonly #watched = new Set<Watched>();

  constructor(pool: Pick<Pool, 'query'>) {
    this.#pool = pool;
  }

  /** The source that a token opens; undefined for one that opens nothing. Rejects when the database cannot be asked. */
  async find(token: string): Promise<TokenSource | undefined> {
    if (!TOKEN.test(token)) return undefined;
    const { rows } = await this.#pool.query<Row>({ ...FIND, values: [hashOf(token)] });
    const [row] = rows;
    if (row === undefined) return undefined;
    return { sourceId: row.id, slug: row.slug, channel: row.channel, tokenKey: row.token_key };
  }

  /** `onEnded` is called when the token of `source` opens nothing any more. Ends with the function that is returned. */
  onSourceEnded(source: TokenSource, onEnded: OnSourceEnded): () => void {
    const watched = { source, onEnded };
    this.#watched.add(watched);
    return () => void this.#watched.delete(watched);
  }

  /** Ends what tokens opened that do not hold any more. Run every second, and at once after this server changed one. */
  async look(): Promise<void> {
    const seen = [...this.#watched];
    if (seen.length === 0) return;
    const keys = new Set(seen.map(({ source }) => source.tokenKey));
    const hashes = [...keys].map((key) => Buffer.from(key, 'hex'));
    const { rows } = await this.#pool.query<{ token_key: string }>({ ...OPEN, values: [hashes] });
    const open = new Set(rows.map(({ token_key }) => token_key));
    for (const watched of seen) if (!open.has(watched.source.tokenKey)) this.#end(watched);
  }

  // One that was ended by another look, or by its owner meanwhile, is not told again.
  #end(watched: Watched): void {
    if (this.#watched.delete(watched)) watched.onEnded();
  }
}

function hashOf(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}

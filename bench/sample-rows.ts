// Owns the row that all cases move: eight columns of the usual kinds, about 400 bytes on the wire and 650 as
// a message. `n` counts from 1, so that a receiver can tell which row it has and that none is missing.

/** Creates the table; the text of `body` holds what JSON has to escape. */
export const CREATE_TABLE = `
  create table bench_rows (
    id uuid primary key, title text not null, body text not null, created_at timestamptz not null,
    n int not null, is_open boolean not null, meta jsonb not null, owner uuid not null)`;

const COLUMNS = 'id, title, body, created_at, n, is_open, meta, owner';
const BODY = `'She said "row ' || i || E'"\\nand went on. ' || repeat('lorem ipsum ', 15)`;
const VALUES = `gen_random_uuid(), 'Title of row ' || i, ${BODY}, now(), i, i % 2 = 0,
  jsonb_build_object('tags', jsonb_build_array('a', 'b'), 'weight', i % 97), gen_random_uuid()`;

/** One statement that inserts the rows `$1` to `$2`. */
export const INSERT_ROWS = `insert into bench_rows (${COLUMNS}) select ${VALUES} from generate_series($1::int, $2::int) as i`;

/** One statement that inserts the row `$1`. */
export const INSERT_ROW = `insert into bench_rows (${COLUMNS}) select ${VALUES} from (select $1::int) as s (i)`;

/** As many transactions as rows, committed one by one on the server, without waiting for the disk. */
export function insertOneByOne(from: number, to: number): string {
  return `do $$ begin
    perform set_config('synchronous_commit', 'off', false);
    for i in ${from}..${to} loop
      insert into bench_rows (${COLUMNS}) select ${VALUES};
      commit;
    end loop;
  end $$`;
}

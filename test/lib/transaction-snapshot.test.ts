// Whether a snapshot contains a transaction, as pg_visible_in_snapshot() says.

import fc from 'fast-check';
import { expect, it } from 'vitest';
import { TransactionSnapshot } from '../../server/lib/transaction-snapshot.ts';
import { describeEachPostgres } from '../rig/postgres.ts';

it('contains what ended before it, and nothing that ran or came later', () => {
  const snapshot = new TransactionSnapshot('10:20:12,15');
  const contained = [9n, 10n, 11n, 13n, 19n];
  const others = [12n, 15n, 20n, 21n];
  expect(contained.filter((xid) => !snapshot.contains(xid))).toEqual([]);
  expect(others.filter((xid) => snapshot.contains(xid))).toEqual([]);
});

it('takes no other text', () => {
  for (const text of ['', '10:20', '10:20:a', '10:20:1,', 'x:20:']) {
    expect(() => new TransactionSnapshot(text)).toThrow(RangeError);
  }
});

describeEachPostgres('a snapshot', (postgres) => {
  it('says of every transaction what the database says', async () => {
    await using database = await postgres.createDatabase();
    const snapshots = fc.record({
      epoch: fc.bigInt(0n, 300n),
      low: fc.bigInt(4n, 2n ** 32n - 100n),
      width: fc.integer({ min: 1, max: 40 }),
      running: fc.array(fc.integer({ min: 0, max: 39 })),
    });
    const cases = fc.sample(snapshots, 100).map(({ epoch, low, width, running }) => {
      const xmin = (epoch << 32n) + low;
      const xips = [...new Set(running.filter((offset) => offset < width))]
        .sort((a, b) => a - b)
        .map((offset) => xmin + BigInt(offset));
      return { text: `${xips[0] ?? xmin}:${xmin + BigInt(width)}:${xips.join(',')}`, from: xmin };
    });
    for (const { text, from } of cases) {
      const xids = Array.from({ length: 45 }, (_, offset) => from - 2n + BigInt(offset));
      const rows = await database.query<{ visible: boolean }>(
        `select pg_visible_in_snapshot(x.xid::xid8, $1::pg_snapshot) as visible from unnest($2::text[]) with ordinality as x (xid, place) order by place`,
        [text, xids.map(String)],
      );
      const snapshot = new TransactionSnapshot(text);
      expect(xids.map((xid) => snapshot.contains(xid))).toEqual(rows.map(({ visible }) => visible));
    }
  });
});

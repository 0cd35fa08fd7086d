import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Lsn, toLsn } from '../../server/lib/position.ts';
import { serverError } from '../../server/replication/server-error.ts';
import { readKeepalive, statusUpdate } from '../../server/replication/status-update.ts';

describe('a status update', () => {
  it('is one CopyData message that confirms exactly the position, beyond 2^53 too', () => {
    const at = Date.UTC(2000, 0, 1) + 1;
    expect(statusUpdate(toLsn(0xffff_ffff_ffff_fff8n), at, true).toString('hex')).toBe(
      [
        '64',
        '00000026',
        '72',
        'fffffffffffffff8',
        'fffffffffffffff8',
        'fffffffffffffff8',
        '00000000000003e8',
        '01',
      ].join(''),
    );
  });

  it('asks for no answer unless it is told to', () => {
    expect(statusUpdate(toLsn(1n), 0, false).at(-1)).toBe(0);
  });

  it('gives written, flushed and applied the same position', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }), (lsn) => {
        const message = statusUpdate(lsn as Lsn, 1_700_000_000_000, false);
        expect([6, 14, 22].map((at) => message.readBigUInt64BE(at))).toEqual([lsn, lsn, lsn]);
      }),
    );
  });
});

describe('a keepalive', () => {
  it('gives the end of WAL, and whether an answer is wanted', () => {
    const body = Buffer.from('00ffffffffffffff0000000000000000000000000001', 'hex');
    const walEnd = 0xffff_ffff_ffff_ff00n;
    expect(readKeepalive(body, 1)).toEqual({ walEnd, isReplyRequested: false });
    body[17] = 1;
    expect(readKeepalive(body, 1)).toEqual({ walEnd, isReplyRequested: true });
  });
});

describe('an error of the server', () => {
  const read = (text: string) => {
    const bytes = Buffer.from(`before${text}`);
    return serverError(bytes, 6, bytes.length);
  };

  it('has its SQLSTATE, message and detail', () => {
    const error = read('SFATAL\0VFATAL\0C57P01\0Mterminating\0Dwhy\0Fpostgres.c\0\0');
    expect({ ...error, message: error.message }).toMatchObject({ code: '57P01', message: 'terminating (why)' });
  });

  it('is an error even where nothing of it can be read', () => {
    for (const text of ['', '\0', 'C', 'C57P01', 'C57P01\0M', 'xyz'])
      expect(read(text).code).toMatch(/^(57P01|XX000)$/);
  });

  it('is read to its end, whatever it holds', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => void expect(read(text).message).toEqual(expect.any(String))),
    );
  });
});

// Which addresses webhooks may reach: every literal spelling when written, and again, with what names resolve to, when called.

import { type LookupAddress, lookup } from 'node:dns';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AddressGuard } from '../../server/webhooks/address-guard.ts';
import type { DueRequest } from '../../server/webhooks/due-request.ts';
import type { ResolveAll } from '../../server/webhooks/guarded-connector.ts';
import { Sender } from '../../server/webhooks/sender.ts';

const NEVER = new AbortController().signal;
const CLOSED = new AddressGuard({ allow: [], httpsOnly: false });

const REFUSED: readonly (readonly [spelling: string, url: string])[] = [
  ['dotted loopback', 'http://127.0.0.1/'],
  ['loopback elsewhere in its network', 'http://127.8.9.10/'],
  ['one decimal number', 'http://2130706433/'],
  ['one hexadecimal number', 'http://0x7f000001/'],
  ['octal parts', 'http://0177.0.0.1/'],
  ['two parts', 'http://127.1/'],
  ['three parts', 'http://127.0.1/'],
  ['mixed bases', 'http://0x7f.0.0.01/'],
  ['full-width digits', 'http://１２７.０.０.１/'],
  ['percent-encoded', 'http://%31%32%37.0.0.1/'],
  ['a trailing dot', 'http://127.0.0.1./'],
  ['zero', 'http://0/'],
  ['unspecified', 'http://0.0.0.0/'],
  ['localhost', 'http://localhost/'],
  ['LOCALHOST with a dot', 'http://LOCALHOST./'],
  ['a name below localhost', 'http://api.localhost/'],
  ['private 10/8', 'http://10.0.0.1/'],
  ['private 172.16/12', 'http://172.31.255.254/'],
  ['private 192.168/16', 'http://192.168.1.1/'],
  ['carrier-grade NAT', 'http://100.64.0.1/'],
  ['metadata behind carrier-grade NAT', 'http://100.100.100.200/'],
  ['link-local metadata', 'http://169.254.169.254/latest/meta-data/'],
  ['link-local metadata as a number', 'http://2852039166/'],
  ['metadata with a public number', 'http://168.63.129.16/'],
  ['protocol assignments', 'http://192.0.0.192/'],
  ['benchmarking', 'http://198.18.0.1/'],
  ['documentation', 'http://192.0.2.1/'],
  ['relay of 6to4', 'http://192.88.99.1/'],
  ['multicast', 'http://224.0.0.1/'],
  ['reserved', 'http://240.0.0.1/'],
  ['broadcast', 'http://255.255.255.255/'],
  ['loopback of IPv6', 'http://[::1]/'],
  ['loopback of IPv6, written out', 'http://[0:0:0:0:0:0:0:1]/'],
  ['unspecified of IPv6', 'http://[::]/'],
  ['mapped loopback', 'http://[::ffff:127.0.0.1]/'],
  ['mapped loopback in hexadecimal', 'http://[::ffff:7f00:1]/'],
  ['mapped private', 'http://[::ffff:10.0.0.1]/'],
  ['compatible with IPv4', 'http://[::127.0.0.1]/'],
  ['translated', 'http://[::ffff:0:127.0.0.1]/'],
  ['NAT64', 'http://[64:ff9b::127.0.0.1]/'],
  ['NAT64 of a public address', 'http://[64:ff9b::8.8.8.8]/'],
  ['local NAT64', 'http://[64:ff9b:1::a00:1]/'],
  ['6to4', 'http://[2002:7f00:1::]/'],
  ['Teredo', 'http://[2001::1]/'],
  ['unique local', 'http://[fd00:ec2::254]/'],
  ['link-local of IPv6', 'http://[fe80::1]/'],
  ['site-local', 'http://[fec0::1]/'],
  ['multicast of IPv6', 'http://[ff02::1]/'],
  ['documentation of IPv6', 'http://[2001:db8::1]/'],
  ['discard', 'http://[100::1]/'],
  ['user name', 'http://user@example.com/'],
  ['password', 'https://u:p@example.com/'],
  ['another scheme', 'ftp://example.com/'],
  ['a file', 'file:///etc/passwd'],
  ['no host', 'http://'],
  ['no host but a port', 'http://:80/'],
  ['no URL', 'example.com/hook'],
  ['a line break', 'http://example.com/\r\nx: y'],
];

const ALLOWED = [
  'https://example.com/hook?x=1',
  'http://8.8.8.8:8080/',
  'http://[2606:4700:4700::1111]/',
  'http://[::ffff:8.8.8.8]/',
  'http://localhost.example.com/',
];

describe('the text of a URL', () => {
  it.each(REFUSED)('is refused: %s', (_, url) => {
    expect(CLOSED.judgeUrl(url)).toMatchObject({ ok: false, reason: expect.any(String) });
  });

  it.each(ALLOWED)('is accepted: %s', (url) => {
    expect(CLOSED.judgeUrl(url)).toMatchObject({ ok: true });
  });

  it('may lead into networks that a setting allows, and only there', () => {
    const guard = new AddressGuard({ allow: ['10.1.0.0/16', '127.0.0.1', 'fd00::/8'], httpsOnly: false });
    const verdicts = ['10.1.2.3', '[::ffff:10.1.2.3]', '[fd12::1]', 'localhost', '127.0.0.1', '10.2.0.1', '127.0.0.2'];
    expect(verdicts.map((host) => guard.judgeUrl(`http://${host}/`).ok)).toEqual([
      ...[true, true, true, true, true],
      ...[false, false],
    ]);
  });

  it('has to be https where the setting says so', () => {
    const guard = new AddressGuard({ allow: [], httpsOnly: true });
    expect(guard.judgeUrl('http://example.com/')).toEqual({ ok: false, reason: 'is not https' });
    expect(guard.judgeUrl('https://example.com/').ok).toBe(true);
  });

  it('says why in words that name the setting', () => {
    expect(CLOSED.judgeUrl('http://0x7f.1/')).toEqual({
      ok: false,
      reason: 'leads to 127.0.0.1 (loopback), which is not allowed: see ROWCAST_WEBHOOK_ALLOW',
    });
  });
});

describe('a connection', () => {
  const paths: string[] = [];
  const server = createServer((request, response) => {
    paths.push(request.url ?? '');
    if (request.url === '/redirect') response.writeHead(302, { location: '/inside' });
    response.end('secret');
  });
  let port: number;

  beforeAll(async () => {
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    port = (server.address() as AddressInfo).port;
  });
  afterAll(() => new Promise((resolve) => server.close(resolve)));

  const attempt = async (guard: AddressGuard, url: string, resolve?: ResolveAll) => {
    const sender = new Sender({ guard, timeoutMs: 5_000, userAgent: 'Rowcast/test', resolve });
    const result = await sender.send(requestTo(url), NEVER);
    await sender.close();
    return result;
  };
  const answering =
    (...addresses: string[]): ResolveAll =>
    (_, _options, callback) =>
      callback(
        null,
        addresses.map((address): LookupAddress => ({ address, family: address.includes(':') ? 6 : 4 })),
      );
  // What was judged when written may be a literal by now.
  const blind = new (class extends AddressGuard {
    override judgeUrl(text: string) {
      return { ok: true, url: new URL(text) } as const;
    }
  })({ allow: [], httpsOnly: false });

  it.each(['127.0.0.1', '2130706433', '0x7f.1', '[::ffff:127.0.0.1]', '[::1]'])('to %s is not opened', async (host) => {
    const result = await attempt(blind, `http://${host}:${port}/literal`);
    expect(result).toMatchObject({ kind: 'refused', status: null, error: expect.stringContaining('not allowed') });
  });

  it('to a name that really resolves to this machine is not opened', async () => {
    const real: ResolveAll = (_, options, callback) => lookup('localhost', options, callback);
    expect(await attempt(CLOSED, `http://rebound.example:${port}/name`, real)).toMatchObject({ kind: 'refused' });
  });

  it.each([[['8.8.8.8', '127.0.0.1']], [['::ffff:10.0.0.1']], [['64:ff9b::7f00:1']], [['169.254.169.254']]])(
    'to a name with the addresses %j is not opened',
    async (addresses) => {
      const result = await attempt(CLOSED, `http://mixed.example:${port}/mixed`, answering(...addresses));
      expect(result.kind).toBe('refused');
    },
  );

  it('is judged each time, so that a name that led elsewhere when written gains nothing', async () => {
    const guard = new AddressGuard({ allow: [], httpsOnly: false });
    const url = `http://rebinding.example:${port}/rebound`;
    expect(guard.judgeUrl(url).ok).toBe(true);
    expect(await attempt(guard, url, answering('127.0.0.1'))).toMatchObject({ kind: 'refused' });
  });

  it('is opened where the setting allows it, and follows no redirect', async () => {
    const guard = new AddressGuard({ allow: ['127.0.0.0/8'], httpsOnly: false });
    const result = await attempt(guard, `http://allowed.example:${port}/redirect`, answering('127.0.0.1'));
    expect(result).toMatchObject({ kind: 'failed', status: 302, error: 'answered 302: redirects are not followed' });
  });

  it('was opened for nothing else', () => {
    expect(paths).toEqual(['/redirect']);
  });
});

function requestTo(url: string): DueRequest {
  const member = { id: 1n, attempts: 1, channelName: 'a', eventName: 'e' };
  return {
    ...{ endpointId: 'x', url, id: 'id', isBatch: false, members: [member], body: Buffer.from('{}') },
    ...{ secrets: [], token: null },
  };
}

// Owns what counts as one address for limits: an IPv4 address, or the /64 of an IPv6 one, since a single
// host commands a whole /64. And what counts as loopback.

import { BlockList, isIPv6 } from 'node:net';
import type { FastifyRequest } from 'fastify';

/** The address that limits are counted by; behind a trusted proxy the client's, else the peer's. */
export function limitAddress(request: FastifyRequest): string {
  const address = unmapped(request.ip);
  return isIPv6(address) ? `${networkOf(address)}::/64` : address;
}

const loopback = new BlockList();
loopback.addSubnet('127.0.0.0', 8, 'ipv4');
loopback.addAddress('::1', 'ipv6');

/**
 * Whether the request was made on this machine. A forwarding header means a proxy, which itself may stand on
 * loopback while its client does not: then no, unless the proxy is trusted and so `request.ip` is the client.
 */
export function isLoopback(request: FastifyRequest, trustsProxy: boolean): boolean {
  const { headers } = request;
  const isForwarded = headers['x-forwarded-for'] !== undefined || headers.forwarded !== undefined;
  if (isForwarded && !trustsProxy) return false;
  const address = unmapped(request.ip);
  return loopback.check(address, isIPv6(address) ? 'ipv6' : 'ipv4');
}

function unmapped(address: string): string {
  return address.toLowerCase().startsWith('::ffff:') && address.includes('.') ? address.slice(7) : address;
}

function networkOf(address: string): string {
  const [head = '', tail = ''] = (address.split('%', 1)[0] as string).split('::');
  const front = head === '' ? [] : head.split(':');
  const back = tail === '' ? [] : tail.split(':');
  const zeros = Array.from({ length: Math.max(0, 8 - front.length - back.length) }, () => '0');
  const groups = address.includes('::') ? [...front, ...zeros, ...back] : front;
  return groups
    .slice(0, 4)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(':');
}

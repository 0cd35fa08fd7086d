// Owns which addresses webhooks may reach: public ones, and those of networks that a setting allows. The text of a URL
// is judged when it is written, with every spelling of a literal address; where a name leads only when it is called
// (guarded-connector.ts), for that may change at any time.

import ipaddr from 'ipaddr.js';
import { findUrlFault } from '../channels/webhook-url.ts';

export type AddressRules = {
  /** Networks or addresses that may be reached although they are not public: `10.0.0.0/8`, `::1`. */
  readonly allow: readonly string[];
  readonly httpsOnly: boolean;
};

export type UrlVerdict = { readonly ok: true; readonly url: URL } | { readonly ok: false; readonly reason: string };

type Address = ipaddr.IPv4 | ipaddr.IPv6;
type Network = readonly [Address, number];

/** Public by number, and answers to the machines of one cloud alone. */
const METADATA_ADDRESSES: readonly string[] = ['168.63.129.16'];
/** What is routed on the internet: everything else of IPv6 is local, reserved, or holds an IPv4 address. */
const GLOBAL_IPV6 = ipaddr.IPv6.parseCIDR('2000::/3');
/** Names that mean this machine, wherever they are asked. */
const LOCAL_NAME = /^(?:.*\.)?localhost$/;
const LOOPBACK: readonly string[] = ['127.0.0.1', '::1'];

export class AddressGuard {
  readonly #allowed: readonly Network[];
  readonly #httpsOnly: boolean;

  constructor({ allow, httpsOnly }: AddressRules) {
    this.#allowed = allow.map(networkOf);
    this.#httpsOnly = httpsOnly;
  }

  /** Judges the text of a URL; the reason completes "the URL …". */
  judgeUrl(text: string): UrlVerdict {
    const fault = findUrlFault(text);
    const url = fault === undefined ? URL.parse(text) : null;
    if (url === null) return { ok: false, reason: fault ?? 'is no http or https URL' };
    if (this.#httpsOnly && url.protocol !== 'https:') return { ok: false, reason: 'is not https' };
    const refusal = this.#findHostFault(url.hostname);
    return refusal === undefined ? { ok: true, url } : { ok: false, reason: refusal };
  }

  /** What is wrong with an address, as a resolver or a socket names it; undefined if it may be reached. */
  findAddressFault(text: string): string | undefined {
    const [bare = ''] = text.split('%'); // the zone of a link-local address
    if (!ipaddr.isValid(bare)) return `leads to ${text}, which is no address`;
    const address = ipaddr.process(bare);
    if (this.#isAllowed(address) || isPublic(address)) return undefined;
    return `leads to ${address.toString()} (${address.range()}), which is not allowed: see ROWCAST_WEBHOOK_ALLOW`;
  }

  // URL parsing has turned decimal, octal, hexadecimal and short forms into dotted ones.
  #findHostFault(hostname: string): string | undefined {
    const host = hostname.replace(/^\[|\]$/g, '').replace(/\.$/, '');
    if (host === '') return 'has no host';
    if (ipaddr.isValid(host)) return this.findAddressFault(host);
    if (!LOCAL_NAME.test(host.toLowerCase())) return undefined;
    const isAllowed = LOOPBACK.some((address) => this.#isAllowed(ipaddr.process(address)));
    return isAllowed ? undefined : 'leads to this machine, which is not allowed: see ROWCAST_WEBHOOK_ALLOW';
  }

  #isAllowed(address: Address): boolean {
    return this.#allowed.some((network) => contains(network, address));
  }
}

function isPublic(address: Address): boolean {
  if (address.range() !== 'unicast' || METADATA_ADDRESSES.includes(address.toString())) return false;
  return address.kind() === 'ipv4' || contains(GLOBAL_IPV6, address);
}

function contains([base, bits]: Network, address: Address): boolean {
  return base.kind() === address.kind() && address.match(base as never, bits);
}

function networkOf(text: string): Network {
  if (text.includes('/')) return ipaddr.parseCIDR(text);
  const address = ipaddr.process(text);
  return [address, address.kind() === 'ipv4' ? 32 : 128];
}

// Owns how sockets to receivers are opened: every address, literal or resolved, is judged at the moment of connecting,
// so that a name cannot lead elsewhere than when it was looked at. Literal addresses are never looked up, and a
// resolver may be asked twice: so both are judged, and the socket's own word at the end.

import { type LookupAddress, type LookupOptions, lookup } from 'node:dns';
import { isIP, type LookupFunction, type Socket } from 'node:net';
import { buildConnector } from 'undici';
import type { AddressGuard } from './address-guard.ts';

/** Asks for all addresses of a name; `dns.lookup`, or one that tests make. */
export type ResolveAll = (
  hostname: string,
  options: LookupOptions & { readonly all: true },
  callback: (error: NodeJS.ErrnoException | null, addresses: LookupAddress[]) => void,
) => void;

export type GuardedConnectorOptions = {
  readonly guard: AddressGuard;
  readonly connectTimeoutMs: number;
  readonly resolve?: ResolveAll | undefined;
};

/** The receiver's address may not be reached. */
export class RefusedAddressError extends Error {
  override readonly name = 'RefusedAddressError';
}

/** A connector for undici that opens no socket to a refused address. */
export function guardedConnector({ guard, connectTimeoutMs, resolve }: GuardedConnectorOptions) {
  const connect = buildConnector({ timeout: connectTimeoutMs, lookup: guardedLookup(guard, resolve ?? lookup) });
  return (options: buildConnector.Options, callback: buildConnector.Callback): void => {
    const host = options.hostname.replace(/^\[|\]$/g, '');
    const fault = isIP(host) === 0 ? undefined : guard.findAddressFault(host);
    if (fault !== undefined) return callback(new RefusedAddressError(`${host} ${fault}`), null);
    connect(options, (...[error, socket]) => {
      if (error !== null) return callback(error, null);
      const late = findSocketFault(guard, socket);
      if (late === undefined) return callback(null, socket);
      socket.destroy();
      callback(new RefusedAddressError(`${host} ${late}`), null);
    });
  };
}

function findSocketFault(guard: AddressGuard, socket: Socket): string | undefined {
  // Without an address it is closed already, and whatever is written to it fails.
  return socket.remoteAddress === undefined ? undefined : guard.findAddressFault(socket.remoteAddress);
}

// One refused address refuses the name: which of several a socket takes is not ours to say.
function guardedLookup(guard: AddressGuard, resolve: ResolveAll): LookupFunction {
  return (hostname, options, callback) => {
    resolve(hostname, { ...options, all: true }, (error, addresses) => {
      if (error !== null) return callback(error, '', 0);
      const fault = addresses
        .map(({ address }) => guard.findAddressFault(address))
        .find((found) => found !== undefined);
      if (fault !== undefined) return callback(new RefusedAddressError(`${hostname} ${fault}`), '', 0);
      const [first] = addresses;
      if (first === undefined) return callback(new Error(`${hostname} has no address`), '', 0);
      if (options.all === true) return callback(null, addresses);
      callback(null, first.address, first.family);
    });
  };
}

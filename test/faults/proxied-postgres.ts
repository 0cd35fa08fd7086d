// Owns databases that are reached through a proxy: what a test does to the link happens to the server alone,
// the test itself goes straight to the database.

import type { TestDatabase, TestPostgres } from '../rig/postgres.ts';
import { startTcpProxy, type TcpProxy } from './tcp-proxy.ts';

export interface ProxiedPostgres extends AsyncDisposable {
  readonly proxy: TcpProxy;
  readonly postgres: TestPostgres;
}

/** `postgres`, whose databases name the proxy in their URLs. */
export async function startProxied(postgres: TestPostgres): Promise<ProxiedPostgres> {
  const { hostname, port } = new URL(postgres.url);
  const proxy = await startTcpProxy({ host: hostname, port: Number(port) });
  const proxiedDatabase = (database: TestDatabase): TestDatabase => {
    const urlAs: TestDatabase['urlAs'] = (user, password) => through(proxy, database.urlAs(user, password));
    return { ...database, url: through(proxy, database.url), urlAs };
  };
  const proxied: TestPostgres = {
    ...postgres,
    createMigrated: async (options) => proxiedDatabase(await postgres.createMigrated(options)),
    createDatabase: async (options) => proxiedDatabase(await postgres.createDatabase(options)),
  };
  return { proxy, postgres: proxied, [Symbol.asyncDispose]: () => proxy[Symbol.asyncDispose]() };
}

/** `url` by way of `proxy`. */
export function through({ port }: TcpProxy, url: string): string {
  return Object.assign(new URL(url), { hostname: '127.0.0.1', port: String(port) }).href;
}

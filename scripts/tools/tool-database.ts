// Owns a tool's connection to the database of this project: DATABASE_URL, else the embedded one, which is
// started for the time of the tool if no server runs.

import { Client, type ClientConfig } from 'pg';
import type { Config } from '../../server/config/config.ts';
import { startEmbedded } from '../embedded/start-embedded.ts';
import { ToolError } from './tool-arguments.ts';

export interface ToolDatabase extends AsyncDisposable {
  readonly client: Client;
  readonly origin: 'embedded' | 'given';
  /** How it was connected to. Secret. */
  readonly url: string;
  /** Another connection to the same database. */
  connect(settings?: ClientConfig): Promise<Client>;
}

/** Opens the database of this project. Throws a ToolError or EmbeddedError that says why it cannot. */
export async function openToolDatabase(config: Config, settings: ClientConfig = {}): Promise<ToolDatabase> {
  const given = config.database.url;
  const embedded = given === undefined ? await startEmbedded({ dataDir: config.storage.dataDir }) : undefined;
  const url = given ?? embedded?.url ?? '';
  const clients: Client[] = [];
  const open = async (more: ClientConfig): Promise<Client> => {
    const client = await connect(url, { connectionTimeoutMillis: config.database.connectTimeoutMs, ...more });
    clients.push(client);
    return client;
  };
  const close = async (): Promise<void> => {
    await Promise.all(clients.map((client) => client.end()));
    await embedded?.stop();
  };
  try {
    const client = await open(settings);
    const origin = embedded ? 'embedded' : 'given';
    return { client, origin, url, connect: (more = {}) => open(more), [Symbol.asyncDispose]: close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function connect(url: string, settings: ClientConfig): Promise<Client> {
  const client = new Client({ connectionString: url, application_name: 'rowcast-tool', ...settings });
  client.on('error', () => undefined);
  try {
    await client.connect();
    return client;
  } catch (cause) {
    const { hostname, port, pathname, username } = new URL(url);
    const where = `${username}@${hostname}:${port || 5432}${pathname}`;
    throw new ToolError(
      `cannot connect to ${where}: ${(cause as Error).message || (cause as { code?: string }).code}`,
      {
        cause,
      },
    );
  }
}

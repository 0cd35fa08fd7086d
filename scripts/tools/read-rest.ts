// Owns a tool's reading from the server's REST API: where it is, as whom, and words for what went wrong. Answers are left as
// text, for numbers in it may have more digits than JavaScript keeps.

import type { Config } from '../../server/config/config.ts';
import { durationMs } from '../../server/config/kinds.ts';
import { withStoredSecret } from '../../server/config/stored-secret.ts';
import { mintAdminToken } from './mint.ts';
import { restUrl, serverUrl } from './server-url.ts';
import { ToolError } from './tool-arguments.ts';

/** As --token and --url give them. */
export type RestAccess = { readonly token?: string | undefined; readonly url?: string | undefined };

export type RestParameters = Readonly<Record<string, string | undefined>>;

const TOKEN_MS = 60_000;
const TIMEOUT_MS = 30_000;
const AGO = /^\d+(\.\d+)?(ms|s|m|h|d)$/;

/** The text of an answer to GET. Throws a ToolError where the server refuses or cannot be reached. */
export async function readRest(
  config: Config,
  access: RestAccess,
  path: string,
  given: RestParameters,
): Promise<string> {
  const parameters = Object.entries(given).filter((entry): entry is [string, string] => entry[1] !== undefined);
  const url = `${restUrl(access.url ?? serverUrl(config), path)}?${new URLSearchParams(parameters)}`;
  const token = access.token ?? mintAdminToken(withStoredSecret(config).config, TOKEN_MS);
  const response = await reach(url, { headers: { authorization: `Bearer ${token}` } }, new URL(url).origin);
  const text = await response.text();
  if (!response.ok)
    throw new ToolError(refusalIn(text) ?? `${url} answered ${response.status}, and not as Rowcast does`);
  return text;
}

/** `1h` and the like as the time that long ago; anything else is left to the server. */
export function timeAgo(text: string | undefined): string | undefined {
  const ms = text !== undefined && AGO.test(text) ? durationMs(text) : undefined;
  return ms === undefined ? text : new Date(Date.now() - ms).toISOString();
}

/** As `fetch`. Throws a ToolError that names the server as `shown` where it cannot be reached. */
export async function reach(url: string, request: RequestInit, shown: string): Promise<Response> {
  try {
    return await fetch(url, { ...request, signal: AbortSignal.timeout(TIMEOUT_MS) });
  } catch (cause) {
    const { name, message, cause: reason } = cause as Error & { cause?: { code?: string; message?: string } };
    const why = name === 'TimeoutError' ? 'no answer in time' : (reason?.code ?? reason?.message ?? message);
    throw new ToolError(`${shown} cannot be reached (${why}): does the server run? npm start`, { cause });
  }
}

function refusalIn(text: string): string | undefined {
  try {
    const { error, message } = JSON.parse(text) as { error?: unknown; message?: unknown };
    return typeof error === 'string' ? `${error}: ${message}` : undefined;
  } catch {
    return undefined;
  }
}

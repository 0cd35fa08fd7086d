// Owns where a tool finds the server: the one of this folder's settings, unless a URL is given.

import type { Config } from '../../server/config/config.ts';
import { ToolError } from './tool-arguments.ts';

/** `http://127.0.0.1:4000` for the server of these settings. */
export function serverUrl({ http }: Pick<Config, 'http'>): string {
  const host = ['0.0.0.0', '::'].includes(http.host) ? '127.0.0.1' : http.host;
  return `http://${host.includes(':') ? `[${host}]` : host}:${http.port}`;
}

/** The URL of a REST path; `given` may also be that of the socket. Throws a ToolError if it is no URL. */
export function restUrl(given: string, path: string): string {
  if (!URL.canParse(given)) throw new ToolError(`--url ${given} is no URL; for example http://127.0.0.1:4000`);
  const url = new URL(given);
  url.protocol = url.protocol.replace(/^ws/, 'http');
  url.pathname = `${url.pathname.replace(/\/(realtime)?$/, '')}${path}`;
  url.search = '';
  return url.href;
}

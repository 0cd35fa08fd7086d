// Owns the table of rooms: which room of server/ may import which. server/README.md explains it.

/** `types` may only be named by `import type`. */
export type RoomRule = { readonly imports: readonly string[]; readonly types?: readonly string[] };

export const ROOMS: Readonly<Record<string, RoomRule>> = {
  lib: { imports: [] },
  protocol: { imports: ['lib'] },
  config: { imports: ['lib'] },
  db: { imports: ['lib', 'config'] },
  auth: { imports: ['lib', 'config'] },
  replication: { imports: ['lib', 'config', 'db'] },
  changes: { imports: ['lib', 'protocol'], types: ['replication'] },
  channels: { imports: ['lib', 'protocol', 'db'] },
  policies: { imports: ['lib', 'protocol', 'db'], types: ['auth', 'changes'] },
  messages: { imports: ['lib', 'protocol', 'db', 'channels'], types: ['auth', 'changes'] },
  hub: { imports: ['lib'], types: ['auth', 'protocol'] },
  webhooks: { imports: ['lib', 'protocol', 'config', 'db', 'channels'] },
  stats: { imports: ['lib', 'db'] },
  delivery: {
    imports: [
      ...['lib', 'protocol', 'config', 'db', 'changes', 'channels'],
      ...['policies', 'messages', 'hub', 'webhooks', 'stats'],
    ],
    types: ['auth', 'replication'],
  },
  gateway: {
    imports: ['lib', 'protocol', 'config', 'auth', 'channels', 'policies', 'messages', 'hub', 'webhooks', 'stats'],
  },
};

/** The files beside the rooms: they may import everything, and no room may import them. */
export const COMPOSITION_FILES: readonly string[] = [
  'server/app.ts',
  'server/app-gateway.ts',
  'server/app-judge.ts',
  'server/app-parts.ts',
  'server/app-pipeline.ts',
  'server/app-replays.ts',
  'server/app-webhook-judge.ts',
  'server/app-webhooks.ts',
  'server/main.ts',
];

/** Nothing that these import, however far, may need Node: they run in a browser. */
export const BROWSER_FOLDERS: readonly string[] = ['server/protocol/', 'client/'];

/** Packages that at most one file may import. */
export const CONFINED_PACKAGES: readonly string[] = ['pg-logical-replication'];

/** The only room that reads `process.env`. */
export const ENVIRONMENT_FOLDER = 'server/config/';

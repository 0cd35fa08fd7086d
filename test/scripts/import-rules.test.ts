import { expect, it } from 'vitest';
import { findViolations, importsOf } from '../../scripts/import-rules.ts';

/** The messages for a planted tree. */
function judge(files: Record<string, string>): string[] {
  return findViolations(new Map(Object.entries(files))).map(({ file, line, message }) => `${file}:${line} ${message}`);
}

it('lets rooms import what their row names', () => {
  const tree = {
    'server/lib/brand.ts': 'export type A = 1;',
    'server/auth/identity.ts': `import { b } from '../lib/brand.ts';\nimport { Config } from '../config/config.ts';`,
    'server/config/config.ts': `const a = process.env.PORT;`,
    'server/hub/hub.ts': `import type { Identity } from '../auth/identity.ts';\nimport { readFileSync } from 'node:fs';`,
    'server/main.ts': `import { startEmbedded } from '../scripts/embedded/start-embedded.ts';\nimport './hub/hub.ts';`,
    'scripts/embedded/start-embedded.ts': `import '../../server/lib/brand.ts';`,
  };
  expect(judge(tree)).toEqual([]);
});

it.each([
  [
    'a room that is not in the row',
    'server/hub/hub.ts',
    `import { pool } from '../db/pool.ts';`,
    'room hub may not import db (server/db/pool.ts)',
  ],
  [
    'a value where only types may cross',
    'server/hub/hub.ts',
    `import { verify } from '../auth/identity.ts';`,
    'room hub may import auth by `import type` only',
  ],
  [
    'inline types, which leave an import behind',
    'server/hub/hub.ts',
    `import { type Identity } from '../auth/identity.ts';`,
    'by `import type` only',
  ],
  ['a re-export', 'server/lib/all.ts', `export * from '../db/pool.ts';`, 'room lib may not import db'],
  ['a dynamic import', 'server/lib/all.ts', `const a = await import('../db/pool.ts');`, 'room lib may not import db'],
  [
    'an import over several lines',
    'server/lib/all.ts',
    `import {\n  a,\n  b,\n} from '../db/pool.ts';`,
    'room lib may not import db',
  ],
  [
    'the composition root',
    'server/hub/hub.ts',
    `import { app } from '../app.ts';`,
    'room hub may not import server/app.ts',
  ],
  [
    'the scripts',
    'server/hub/hub.ts',
    `import { a } from '../../scripts/rooms.ts';`,
    'room hub may not import scripts/rooms.ts',
  ],
  ['an unknown room', 'server/utils/all.ts', '', 'server/utils/all.ts is in no room of the table'],
  ['a file beside the rooms', 'server/all.ts', '', 'server/all.ts is in no room of the table'],
  [
    'the environment',
    'server/hub/hub.ts',
    `const a = process.env['PORT'];`,
    'process.env is read in server/config/ only',
  ],
  ['the environment by import', 'server/hub/hub.ts', `import { env } from 'node:process';`, 'process.env is read in'],
  [
    'Node in the protocol',
    'server/protocol/frames.ts',
    `import { Buffer } from 'node:buffer';`,
    'runs in a browser, but imports node:buffer',
  ],
  ['Node without its prefix', 'server/protocol/frames.ts', `import fs from 'fs';`, 'runs in a browser, but imports fs'],
  [
    'a package in the client',
    'client/rowcast.js',
    `import ws from 'ws';`,
    'client/ has no dependencies, but imports ws',
  ],
])('refuses %s', (_, file, text, message) => {
  const found = judge({ [file]: text });
  expect(found).toHaveLength(1);
  expect(found[0]).toContain(message);
});

it('finds Node behind a pure room', () => {
  const tree = {
    'server/protocol/frames.ts': `import { id } from '../lib/id.ts';`,
    'server/lib/id.ts': `import { hash } from 'node:crypto';`,
    'server/lib/timer.ts': `import { setTimeout } from 'node:timers/promises';`,
  };
  expect(judge(tree)).toEqual(['server/lib/id.ts:1 runs in a browser, but imports node:crypto']);
});

it('finds cycles, and names the way round', () => {
  const tree = {
    'server/lib/a.ts': `import './b.ts';`,
    'server/lib/b.ts': `\nimport './c.ts';`,
    'server/lib/c.ts': `import './a.ts';\nimport './d.ts';`,
    'server/lib/d.ts': `import type { B } from './b.ts';`,
  };
  expect(judge(tree)).toEqual([
    'server/lib/c.ts:1 cycle: server/lib/a.ts → server/lib/b.ts → server/lib/c.ts → server/lib/a.ts',
  ]);
});

it('lets one file import the replication library', () => {
  const tree = {
    'server/replication/stream.ts': `import { A } from 'pg-logical-replication';`,
    'server/replication/decoder.ts': `import type { B } from 'pg-logical-replication/dist/output';`,
  };
  expect(judge(tree)).toEqual([
    'server/replication/decoder.ts:1 pg-logical-replication is imported by server/replication/stream.ts already',
  ]);
});

it('takes comments and strings for what they are', () => {
  const text = [
    `// import { a } from '../db/a.ts';`,
    `/* import { b } from '../db/b.ts';`,
    `*/ const url = 'http://x'; import { c } from './c.ts';`,
    `import { d } from './d.ts'; // from '../db/d.ts'`,
    `import type from './e.ts';`,
  ].join('\n');
  expect(importsOf('server/lib/x.ts', text).map(({ target, typeOnly }) => [target, typeOnly])).toEqual([
    ['server/lib/d.ts', false],
    ['server/lib/e.ts', false],
  ]);
});

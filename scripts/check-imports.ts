// Owns the command that holds the source against the table of rooms. Prints what it found; code 1 if anything.

import { readFileSync } from 'node:fs';
import { glob } from 'node:fs/promises';
import { join } from 'node:path';
import { findViolations } from './import-rules.ts';

const root = join(import.meta.dirname, '..');
const files = new Map<string, string>();
for await (const path of glob(['server/**/*.ts', 'client/**/*.{js,ts}', 'scripts/**/*.ts'], { cwd: root })) {
  if (!path.endsWith('.d.ts')) files.set(path.replaceAll('\\', '/'), readFileSync(join(root, path), 'utf8'));
}
const violations = findViolations(new Map([...files].sort(([a], [b]) => (a < b ? -1 : 1))));
for (const { file, line, message } of violations) console.error(`${file}:${line}: ${message}`);
if (violations.length > 0) process.exitCode = 1;
else console.log(`imports: ${files.size} files keep to the table of rooms`);

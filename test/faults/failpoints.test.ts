// Each failpoint has its place in the source as it is now, and a server dies there.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { FAILPOINTS } from './failpoints.ts';
import { type Plant, planted } from './plant.ts';

const SERVER = join(import.meta.dirname, '../../server');

it('every failpoint finds its place exactly once, all of them planted together', () => {
  const sources = new Map<string, string>();
  for (const plant of Object.values(FAILPOINTS)) sources.set(plant.file, planted(sourceOf(sources, plant), plant));
  expect(sources.size).toBeGreaterThan(0);
});

function sourceOf(sources: ReadonlyMap<string, string>, { file }: Plant): string {
  return sources.get(file) ?? readFileSync(join(SERVER, file), 'utf8');
}

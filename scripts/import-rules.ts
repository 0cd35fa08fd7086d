// Owns judging a set of source files by the table of rooms: imports between rooms, cycles, packages that
// are confined to one file, the environment, and what must run in a browser. Reads no files.

import { builtinModules } from 'node:module';
import { dirname, join } from 'node:path/posix';
import { BROWSER_FOLDERS, COMPOSITION_FILES, CONFINED_PACKAGES, ENVIRONMENT_FOLDER, ROOMS } from './rooms.ts';

/** Path from the root of the repository, with `/`, to text. */
export type SourceFiles = ReadonlyMap<string, string>;
export type Violation = { readonly file: string; readonly line: number; readonly message: string };
type Import = { readonly from: string; readonly target: string; readonly typeOnly: boolean; readonly line: number };

const STATEMENT =
  /^[ \t]*(?:import|export)\s+(type\b(?!\s+from\b|\s*,))?(?:[^;'"()]*?\bfrom\s*)?['"]([^'"\n]+)['"]|\bimport\(\s*['"]([^'"\n]+)['"]\s*\)/gm;
const ENVIRONMENT = /\bprocess\s*(?:\.\s*env\b|\[\s*['"]env['"]\s*\])|from\s+['"](?:node:)?process['"]/;

/** All violations, in the order of the files. */
export function findViolations(files: SourceFiles): Violation[] {
  const imports = [...files].flatMap(([file, text]) => importsOf(file, text));
  return [
    ...[...files.keys()].flatMap(judgePlace),
    ...imports.flatMap(judgeRoom),
    ...judgeConfined(imports),
    ...judgeEnvironment(files),
    ...judgeBrowser(imports),
    ...findCycles(imports),
  ];
}

/** The imports of one file; relative ones as paths from the root. */
export function importsOf(file: string, text: string): Import[] {
  return [...withoutComments(text).matchAll(STATEMENT)].map((match) => {
    const specifier = match[2] ?? match[3] ?? '';
    const target = specifier.startsWith('.') ? join(dirname(file), specifier) : specifier;
    return { from: file, target, typeOnly: match[1] !== undefined, line: lineOf(text, match.index) };
  });
}

/** Blanks comments out, keeping every line and column. A `//` inside a string is none. */
function withoutComments(text: string): string {
  const parts = /\/\*[\s\S]*?\*\/|(?<![:'"`\w])\/\/[^\n]*|'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"/g;
  return text.replace(parts, (part) => (part.startsWith('/') ? part.replace(/[^\n]/g, ' ') : part));
}

function judgePlace(file: string): Violation[] {
  if (!file.startsWith('server/') || COMPOSITION_FILES.includes(file)) return [];
  const room = roomOf(file);
  if (room !== undefined && room in ROOMS) return [];
  return [{ file, line: 1, message: `${file} is in no room of the table` }];
}

function judgeRoom({ from, target, typeOnly, line }: Import): Violation[] {
  const room = roomOf(from);
  const rule = room === undefined ? undefined : ROOMS[room];
  if (room === undefined || !rule || !target.includes('/') || isPackage(target)) return [];
  const aim = roomOf(target);
  if (aim === undefined) return [{ file: from, line, message: `room ${room} may not import ${target}` }];
  if (aim === room || rule.imports.includes(aim)) return [];
  if (!rule.types?.includes(aim))
    return [{ file: from, line, message: `room ${room} may not import ${aim} (${target})` }];
  if (typeOnly) return [];
  return [{ file: from, line, message: `room ${room} may import ${aim} by \`import type\` only (${target})` }];
}

function judgeConfined(imports: readonly Import[]): Violation[] {
  return CONFINED_PACKAGES.flatMap((name) => {
    const users = imports.filter(({ target }) => target === name || target.startsWith(`${name}/`));
    const [first] = users;
    return users
      .filter(({ from }) => from !== first?.from)
      .map(({ from, line }) => ({ file: from, line, message: `${name} is imported by ${first?.from} already` }));
  });
}

function judgeEnvironment(files: SourceFiles): Violation[] {
  return [...files].flatMap(([file, text]) => {
    if (!file.startsWith('server/') || file.startsWith(ENVIRONMENT_FOLDER)) return [];
    const found = ENVIRONMENT.exec(withoutComments(text));
    if (!found) return [];
    return [{ file, line: lineOf(text, found.index), message: `process.env is read in ${ENVIRONMENT_FOLDER} only` }];
  });
}

/** Follows the imports of what runs in a browser, through every file they reach. */
function judgeBrowser(imports: readonly Import[]): Violation[] {
  const byFile = Map.groupBy(imports, ({ from }) => from);
  const reached = new Set(imports.map(({ from }) => from).filter(runsInBrowser));
  const violations: Violation[] = [];
  for (const file of reached) {
    for (const { target, typeOnly, line } of byFile.get(file) ?? []) {
      if (typeOnly) continue;
      if (!isPackage(target)) reached.add(target);
      else if (isBuiltin(target)) violations.push({ file, line, message: `runs in a browser, but imports ${target}` });
      else if (file.startsWith('client/'))
        violations.push({ file, line, message: `client/ has no dependencies, but imports ${target}` });
    }
  }
  return violations;
}

/** One violation per cycle, said where it closes. An `import type` makes none: it is gone when the program runs. */
function findCycles(imports: readonly Import[]): Violation[] {
  const byFile = Map.groupBy(
    imports.filter(({ typeOnly }) => !typeOnly),
    ({ from }) => from,
  );
  const state = new Map<string, 'open' | 'done'>();
  const path: string[] = [];
  const violations: Violation[] = [];
  const visit = (file: string): void => {
    state.set(file, 'open');
    path.push(file);
    for (const { target, line } of byFile.get(file) ?? []) {
      if (state.get(target) === 'open') {
        const cycle = [...path.slice(path.indexOf(target)), target];
        violations.push({ file, line, message: `cycle: ${cycle.join(' → ')}` });
      } else if (!state.has(target) && byFile.has(target)) visit(target);
    }
    path.pop();
    state.set(file, 'done');
  };
  for (const file of byFile.keys()) if (!state.has(file)) visit(file);
  return violations;
}

function roomOf(path: string): string | undefined {
  const [top, room, rest] = path.split('/');
  return top === 'server' && rest !== undefined ? room : undefined;
}

function runsInBrowser(file: string): boolean {
  return BROWSER_FOLDERS.some((folder) => file.startsWith(folder));
}

/** Everything that is no path from the root: relative specifiers were made such paths, with their extension. */
function isPackage(target: string): boolean {
  return isBuiltin(target) || !/\.(ts|js|mjs|json)$/.test(target) || !target.includes('/');
}

function isBuiltin(target: string): boolean {
  return target.startsWith('node:') || builtinModules.includes(target);
}

function lineOf(text: string, index: number): number {
  return text.slice(0, index).split('\n').length;
}

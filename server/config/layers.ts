// Owns reading the three places where settings are given (flags, environment, file), each to a map from
// variable to text. Unknown names are found here; what a value means is judged by config.ts.

import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseEnv } from 'node:util';
import type { Setting } from './setting.ts';
import { SETTINGS } from './settings.ts';
import { suggestion } from './spelling.ts';

export type SourceKind = 'flag' | 'environment' | 'file' | 'default';
export type ConfigProblem = { readonly variable: string; readonly message: string };
export type Layer = { readonly source: SourceKind; readonly values: ReadonlyMap<string, string> };
export type Layers = {
  /** The first one that names a variable decides. */
  readonly layers: readonly Layer[];
  readonly problems: readonly ConfigProblem[];
  readonly warnings: readonly string[];
};

const DEFAULT_FILE = '.env';
const FILE_VARIABLE = 'ROWCAST_CONFIG';
/** What a container platform sets for a service that is itself called rowcast. */
const FOREIGN_VARIABLE = /^ROWCAST_(SERVICE|PORT)(_|$)/;

/** Every setting with its place in Config. */
export const SETTING_LIST: readonly { path: readonly [string, string]; setting: Setting<unknown> }[] = Object.entries(
  SETTINGS,
).flatMap(([section, settings]) =>
  Object.entries(settings).map(([name, setting]) => ({
    path: [section, name] as const,
    setting: setting as Setting<unknown>,
  })),
);

const KNOWN = new Set(SETTING_LIST.map(({ setting }) => setting.variable));

/** The flag of a variable: ROWCAST_DATA_DIR is `--data-dir`. */
export function flagOf(variable: string): string {
  return `--${variable
    .replace(/^ROWCAST_/, '')
    .toLowerCase()
    .replaceAll('_', '-')}`;
}

/** Reads all three. Relative paths are relative to `cwd`. */
export function readLayers(
  argv: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
  cwd: string,
): Layers {
  const problems: ConfigProblem[] = [];
  const warnings: string[] = [];
  const flags = readFlags(argv, problems);
  const file = readFile(flags.get(FILE_VARIABLE) ?? env[FILE_VARIABLE], cwd, problems);
  const environment = new Map<string, string>();
  for (const [name, value] of Object.entries(env)) {
    if (value === undefined) continue;
    if (KNOWN.has(name)) environment.set(name, value);
    else if (isUnknown(name)) warnings.push(unknownName(name));
  }
  for (const name of file.keys()) {
    if (isUnknown(name)) problems.push({ variable: name, message: unknownName(name) });
  }
  const layers: Layer[] = [
    { source: 'flag', values: flags },
    { source: 'environment', values: environment },
    { source: 'file', values: file },
  ];
  return { layers, problems, warnings };
}

/** `--port 4001`, `--port=4001`; a flag of a true-or-false setting may stand alone. */
function readFlags(argv: readonly string[], problems: ConfigProblem[]): Map<string, string> {
  const byFlag = new Map(SETTING_LIST.map(({ setting }) => [flagOf(setting.variable), setting] as const));
  const flags = new Map<string, string>();
  for (let at = 0; at < argv.length; at += 1) {
    const [name = '', inline] = splitOnce(argv[at] ?? '');
    if (!name.startsWith('--')) {
      problems.push({ variable: name, message: 'unexpected argument; flags begin with --' });
      continue;
    }
    const setting = byFlag.get(name);
    const next = argv[at + 1]?.startsWith('--') ? undefined : argv[at + 1];
    const value = inline ?? next ?? (setting?.kind.example === 'true' ? 'true' : undefined);
    if (inline === undefined && next !== undefined) at += 1;
    if (!setting && name !== flagOf(FILE_VARIABLE)) {
      problems.push({ variable: name, message: `unknown flag${suggestion(name, [...byFlag.keys()])}` });
    } else if (value === undefined) {
      problems.push({ variable: name, message: 'needs a value' });
    } else {
      flags.set(setting?.variable ?? FILE_VARIABLE, value);
    }
  }
  return flags;
}

function splitOnce(argument: string): [string, string | undefined] {
  const at = argument.indexOf('=');
  return at < 0 ? [argument, undefined] : [argument.slice(0, at), argument.slice(at + 1)];
}

/** The named file must exist; the default one need not. Its lines are `NAME=value`. */
function readFile(named: string | undefined, cwd: string, problems: ConfigProblem[]): Map<string, string> {
  const path = named === undefined ? join(cwd, DEFAULT_FILE) : resolve(cwd, named);
  try {
    return new Map(Object.entries(parseEnv(readFileSync(path, 'utf8'))) as [string, string][]);
  } catch (error) {
    const absent = (error as NodeJS.ErrnoException).code === 'ENOENT';
    if (named === undefined && absent) return new Map();
    problems.push({ variable: FILE_VARIABLE, message: `the file ${path} cannot be read: ${(error as Error).message}` });
    return new Map();
  }
}

function isUnknown(name: string): boolean {
  return name.startsWith('ROWCAST_') && name !== FILE_VARIABLE && !KNOWN.has(name) && !FOREIGN_VARIABLE.test(name);
}

function unknownName(name: string): string {
  return `${name} is no setting of Rowcast${suggestion(name, [...KNOWN])}`;
}

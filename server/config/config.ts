// Owns the one Config and where each of its values came from: flags over environment over file over
// default. The only reader of process.env (by its `env` argument). It does no more than read: the secret
// that may have to be made is stored-secret.ts.

import { resolve } from 'node:path';
import { unreachable } from '../lib/assert.ts';
import { readValue } from './kinds.ts';
import { type ConfigProblem, flagOf, type Layer, readLayers, SETTING_LIST, type SourceKind } from './layers.ts';
import type { Setting } from './setting.ts';
import type { SETTINGS } from './settings.ts';

type SettingTree = typeof SETTINGS;
type ValueOf<S> = S extends Setting<infer T> ? T : never;

/** All settings, frozen. `config.socket.maxQueuedBytes`; times in ms, sizes in bytes. */
export type Config = {
  readonly [Section in keyof SettingTree]: {
    readonly [Name in keyof SettingTree[Section]]: Readonly<ValueOf<SettingTree[Section][Name]>>;
  };
};

/** One line of `npm run config`. `value` is text, and `(secret)` where it must not be shown. */
export type SettingReport = {
  readonly path: string;
  readonly variable: string;
  readonly flag: string;
  readonly value: string;
  readonly source: SourceKind;
  readonly about: string;
};

export type LoadResult =
  | {
      readonly ok: true;
      readonly config: Config;
      readonly sources: readonly SettingReport[];
      readonly warnings: readonly string[];
    }
  | { readonly ok: false; readonly problems: readonly ConfigProblem[] };

export type LoadOptions = {
  /** Without the program and the script. */
  readonly argv?: readonly string[] | undefined;
  readonly env?: Readonly<Record<string, string | undefined>> | undefined;
  /** Where `.env` is looked for, and what a relative data folder is relative to. */
  readonly cwd?: string | undefined;
};

type Reading = { readonly layers: readonly Layer[]; readonly problems: ConfigProblem[] };

/** Reads and checks all settings. Wrong ones are values: each names its variable, the problem and an example. */
export function loadConfig(options: LoadOptions = {}): LoadResult {
  const cwd = options.cwd ?? process.cwd();
  const given = readLayers(options.argv ?? process.argv.slice(2), options.env ?? process.env, cwd);
  const reading: Reading = { layers: given.layers, problems: [...given.problems] };
  const tree: Record<string, Record<string, unknown>> = {};
  const sources: SettingReport[] = [];
  for (const { path, setting } of SETTING_LIST) {
    const { value, shown, source } = settle(setting, reading);
    const [section, name] = path;
    tree[section] ??= {};
    tree[section][name] = setting.variable === 'ROWCAST_DATA_DIR' ? resolve(cwd, String(value)) : value;
    sources.push({
      path: path.join('.'),
      variable: setting.variable,
      flag: flagOf(setting.variable),
      value: shown,
      source,
      about: setting.about,
    });
  }
  if (reading.problems.length === 0) reading.problems.push(...contradictions(tree as Config));
  if (reading.problems.length > 0) return { ok: false, problems: reading.problems };
  return { ok: true, config: freeze(tree) as Config, sources, warnings: given.warnings };
}

/** The problems as lines for a terminal. */
export function describeProblems(problems: readonly ConfigProblem[]): string {
  return problems.map(({ variable, message }) => `${variable}: ${message}`).join('\n');
}

function settle(setting: Setting<unknown>, reading: Reading): { value: unknown; shown: string; source: SourceKind } {
  for (const { source, values } of reading.layers) {
    const given = values.get(setting.variable);
    // Set but empty means not set, as in compose files: `DATABASE_URL=`.
    if (given === undefined || (given.trim() === '' && source !== 'flag')) continue;
    const read = readValue(setting.kind, given);
    if (!read.ok) reading.problems.push(wrongValue(setting, given, source));
    const value = read.ok ? read.value : undefined;
    return { value, shown: show(setting, value), source };
  }
  if (setting.fallback === undefined) return { value: undefined, shown: '', source: 'default' };
  const read = readValue(setting.kind, setting.fallback);
  if (!read.ok) throw new Error(`bug: the default of ${setting.variable} is not ${setting.kind.says}`);
  return { value: read.value, shown: show(setting, read.value), source: 'default' };
}

function show(setting: Setting<unknown>, value: unknown): string {
  if (value === undefined) return '';
  return setting.secret ? '(secret)' : setting.kind.write(value as NonNullable<unknown>);
}

function wrongValue(setting: Setting<unknown>, given: string, source: SourceKind): ConfigProblem {
  const what = setting.secret ? 'the value' : JSON.stringify(given);
  const message = `${what} (${sourceWords(setting, source)}) must be ${setting.kind.says}, for example ${setting.kind.example}`;
  return { variable: setting.variable, message };
}

function sourceWords(setting: Setting<unknown>, source: SourceKind): string {
  switch (source) {
    case 'flag':
      return `from the flag ${flagOf(setting.variable)}`;
    case 'environment':
      return 'from the environment';
    case 'file':
      return 'from the file';
    case 'default':
      return 'the default';
    default:
      return unreachable(source);
  }
}

/** What no single value can be wrong about. */
function contradictions(config: Config): ConfigProblem[] {
  const problems: ConfigProblem[] = [];
  const { roles, adminRoles, defaultRole, allowAnon, jwksUrl } = config.auth;
  if (jwksUrl?.startsWith('http:') && !/^http:\/\/(localhost|127\.0\.0\.1|\[::1\])[:/]/.test(jwksUrl)) {
    problems.push({ variable: 'ROWCAST_JWKS_URL', message: 'must be https, for whoever answers it may make tokens' });
  }
  const both = roles.find((role) => adminRoles.includes(role));
  if (both !== undefined) {
    const message = `the role ${both} is also in ROWCAST_ADMIN_ROLES; a role is either judged or an admin`;
    problems.push({ variable: 'ROWCAST_ROLES', message });
  }
  if ([...roles, ...adminRoles].includes('none')) {
    problems.push({ variable: 'ROWCAST_ROLES', message: '"none" is no role: PostgreSQL reads it as the login itself' });
  }
  if (defaultRole !== undefined && !roles.includes(defaultRole)) {
    problems.push({ variable: 'ROWCAST_DEFAULT_ROLE', message: `${defaultRole} must be one of ROWCAST_ROLES` });
  }
  if (allowAnon && !roles.includes('anon')) {
    problems.push({ variable: 'ROWCAST_ALLOW_ANON', message: 'needs anon among ROWCAST_ROLES' });
  }
  if (config.webhooks.pauseAfterMs <= config.webhooks.giveUpMs) {
    const message = 'must be longer than ROWCAST_WEBHOOK_GIVE_UP, or nothing would ever be given up';
    problems.push({ variable: 'ROWCAST_WEBHOOK_PAUSE_AFTER', message });
  }
  return problems;
}

function freeze(value: unknown): unknown {
  if (typeof value === 'object' && value !== null) Object.values(value).forEach(freeze);
  return Object.freeze(value);
}

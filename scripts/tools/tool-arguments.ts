// Owns the command line of the tools: their own options by commander, and beside them every flag of the
// server's settings, so that `--data-dir` means the same everywhere. Ends with words, not stack traces.

import { type Command, CommanderError } from 'commander';
import { type Config, describeProblems, loadConfig, type SettingReport } from '../../server/config/config.ts';
import { flagOf, SETTING_LIST } from '../../server/config/layers.ts';
import { EmbeddedError } from '../embedded/embedded-error.ts';

export type ToolContext = { readonly config: Config; readonly sources: readonly SettingReport[] };

/** What went wrong in a way that the user can do something about. */
export class ToolError extends Error {
  override readonly name = 'ToolError';
}

const SETTING_FLAGS = new Map(SETTING_LIST.map(({ setting }) => [flagOf(setting.variable), setting] as const));
const CONFIG_FLAG = '--config';

/**
 * Parses `argv` with `command`, then runs `work` with the settings. Sets the exit code: 0, 1 after a failure
 * that was explained, or what `work` returns.
 */
export async function runTool(
  command: Command,
  work: (context: ToolContext) => Promise<number | undefined>,
  argv: readonly string[] = process.argv.slice(2),
): Promise<void> {
  try {
    const { own, settings } = splitArguments(command, argv);
    command.exitOverride().addHelpText('after', '\nEvery setting of the server is a flag here too: npm run config');
    command.parse(own, { from: 'user' });
    const loaded = loadConfig({ argv: settings });
    if (!loaded.ok) throw new ToolError(describeProblems(loaded.problems));
    for (const warning of loaded.warnings) console.error(warning);
    process.exitCode = (await work(loaded)) ?? 0;
  } catch (error) {
    process.exitCode = explain(error);
  }
}

/** The settings' flags, and what is left for the tool. An option that the tool itself has is the tool's. */
export function splitArguments(
  command: Command,
  argv: readonly string[],
): { readonly own: string[]; readonly settings: string[] } {
  const own: string[] = [];
  const settings: string[] = [];
  const toolFlags = new Set(command.options.map(({ long }) => long));
  for (let at = 0; at < argv.length; at += 1) {
    const argument = argv[at] ?? '';
    const name = argument.split('=')[0] ?? '';
    if (argument === '--') return { own: [...own, ...argv.slice(at)], settings };
    if (toolFlags.has(name) || !(SETTING_FLAGS.has(name) || name === CONFIG_FLAG)) {
      own.push(argument);
      continue;
    }
    settings.push(argument);
    const next = argv[at + 1];
    const isSwitch = SETTING_FLAGS.get(name)?.kind.example === 'true';
    if (argument === name && !isSwitch && next !== undefined && !next.startsWith('--')) {
      settings.push(next);
      at += 1;
    }
  }
  return { own, settings };
}

function explain(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode;
  if (error instanceof ToolError) console.error(error.message);
  else if (error instanceof EmbeddedError) console.error(`${error.message}\n→ ${error.remedy}`);
  else console.error(error);
  return 1;
}

// Owns `npm run sql -- "select …"`: statements against the database of this project, for the embedded build
// has no psql. Several statements run as one transaction, as PostgreSQL does with one query string.

import { readFileSync } from 'node:fs';
import { text } from 'node:stream/consumers';
import { Command } from 'commander';
import { type Client, DatabaseError, type QueryArrayResult } from 'pg';
import { type Cell, formatTable } from './tools/table.ts';
import { runTool, ToolError } from './tools/tool-arguments.ts';
import { openToolDatabase } from './tools/tool-database.ts';

type SqlOptions = { file?: string; json?: boolean };
type Result = QueryArrayResult<Cell[]>;

/** Every value as the text that PostgreSQL sent. */
const AS_TEXT = { getTypeParser: () => (value: string) => value };

const command = new Command('npm run sql --')
  .description('Runs SQL on the database of this project and prints the rows.')
  .argument('[statement]', 'one or more statements; without it, standard input')
  .option('-f, --file <path>', 'read the statements from a file')
  .option('--json', 'print one JSON array of rows for each statement');

await runTool(command, async ({ config }) => {
  const options = command.opts<SqlOptions>();
  const statement = await readStatement(options.file);
  await using database = await openToolDatabase(config, { types: AS_TEXT });
  database.client.on('notice', (notice) => console.error(`${notice.severity}: ${notice.message}`));
  for (const result of await run(database.client, statement)) {
    console.log(options.json ? JSON.stringify(asObjects(result)) : describe(result));
  }
  return 0;
});

async function readStatement(file: string | undefined): Promise<string> {
  if (file !== undefined) return readFileSync(file, 'utf8');
  const statement = command.args[0] ?? (process.stdin.isTTY ? '' : await text(process.stdin));
  if (statement.trim() === '') throw new ToolError('nothing to run; for example: npm run sql -- "select now()"');
  return statement;
}

async function run(client: Client, statement: string): Promise<Result[]> {
  try {
    const results = await client.query<Cell[]>({ text: statement, rowMode: 'array' });
    return [results].flat() as Result[];
  } catch (error) {
    if (error instanceof DatabaseError) throw new ToolError(describeFailure(error, statement));
    throw error;
  }
}

/** As psql does: the message, the place, and what PostgreSQL adds. */
function describeFailure(error: DatabaseError, statement: string): string {
  const lines = [`${error.severity ?? 'ERROR'} ${error.code ?? ''}: ${error.message}`];
  const at = Number(error.position ?? 0) - 1;
  if (at >= 0) {
    const start = statement.lastIndexOf('\n', at - 1) + 1;
    lines.push(statement.slice(start).split('\n')[0] ?? '', `${' '.repeat(at - start)}^`);
  }
  if (error.detail) lines.push(`detail: ${error.detail}`);
  if (error.hint) lines.push(`hint: ${error.hint}`);
  if (error.where) lines.push(`where: ${error.where}`);
  return lines.join('\n');
}

function describe(result: Result): string {
  const count = `${result.rowCount ?? 0} ${result.rowCount === 1 ? 'row' : 'rows'}`;
  if (result.fields.length === 0) return result.rowCount === null ? result.command : `${result.command} ${count}`;
  const headings = result.fields.map(({ name }) => name);
  return [...formatTable(headings, result.rows), `(${count})`].join('\n');
}

function asObjects(result: Result): Record<string, Cell>[] {
  const names = result.fields.map(({ name }) => name);
  return result.rows.map((row) => Object.fromEntries(names.map((name, at) => [name, row[at] ?? null])));
}

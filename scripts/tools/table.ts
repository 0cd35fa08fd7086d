// Owns the printing of rows for people: aligned columns, long values cut, null told apart from empty text.

const MAX_WIDTH = 60;

export type Cell = string | null;

/** Lines of a table. Line breaks inside a value are shown as `⏎`. */
export function formatTable(headings: readonly string[], rows: readonly (readonly Cell[])[]): string[] {
  const cells = rows.map((row) => row.map(shown));
  const widths = headings.map((heading, at) => Math.max(...[heading, ...cells.map((row) => row[at] ?? '')].map(width)));
  const line = (row: readonly string[]): string =>
    row
      .map((cell, at) => cell + ' '.repeat((widths[at] ?? 0) - width(cell)))
      .join('  ')
      .trimEnd();
  return [line(headings), line(widths.map((columns) => '─'.repeat(columns))), ...cells.map(line)];
}

function shown(cell: Cell): string {
  if (cell === null) return '∅';
  const flat = cell.replace(/\r?\n/g, '⏎').replace(/\p{Cc}/gu, '·');
  const characters = [...flat];
  return characters.length > MAX_WIDTH ? `${characters.slice(0, MAX_WIDTH - 1).join('')}…` : flat;
}

function width(text: string): number {
  return [...text].length;
}

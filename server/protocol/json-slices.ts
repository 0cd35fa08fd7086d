// Owns the cutting of JSON texts into the texts of their parts, exactly as they stand there: JSON.parse would
// round numbers and drop all but one of equal names. For texts that JSON.parse has taken; nothing is checked
// again. Pure, and runs in a browser.

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const COMMA = 0x2c;
const SPACE = 0x20;

/** The texts of an object's members by name; of equal names the last counts, as with JSON.parse. */
export function memberTexts(text: string): Map<string, string> {
  const members = new Map<string, string>();
  for (let at = skipSpace(text, skipSpace(text, 0) + 1); text.charCodeAt(at) === QUOTE; ) {
    const nameEnd = endOfString(text, at);
    const name = JSON.parse(text.slice(at, nameEnd)) as string;
    const start = skipSpace(text, skipSpace(text, nameEnd) + 1);
    const end = endOfValue(text, start);
    members.set(name, text.slice(start, end));
    at = skipSpace(text, skipSpace(text, end) + 1);
  }
  return members;
}

/** The texts of an array's items. */
export function itemTexts(text: string): string[] {
  const items: string[] = [];
  let start = skipSpace(text, skipSpace(text, 0) + 1);
  while (start < text.length && text.charCodeAt(start) !== CLOSE_BRACKET) {
    const end = endOfValue(text, start);
    items.push(text.slice(start, end));
    const separator = skipSpace(text, end);
    if (text.charCodeAt(separator) !== COMMA) break;
    start = skipSpace(text, separator + 1);
  }
  return items;
}

function skipSpace(text: string, from: number): number {
  let at = from;
  while (at < text.length && text.charCodeAt(at) <= SPACE) at++;
  return at;
}

/** Behind the closing quote of the string that begins at `from`. */
export function endOfString(text: string, from: number): number {
  for (let at = text.indexOf('"', from + 1); at >= 0; at = text.indexOf('"', at + 1)) {
    if (!isEscaped(text, at)) return at + 1;
  }
  return text.length;
}

function isEscaped(text: string, at: number): boolean {
  let backslashes = 0;
  while (text.charCodeAt(at - 1 - backslashes) === BACKSLASH) backslashes += 1;
  return backslashes % 2 === 1;
}

function endOfValue(text: string, from: number): number {
  const code = text.charCodeAt(from);
  if (code === QUOTE) return endOfString(text, from);
  if (code === OPEN_BRACKET || code === OPEN_BRACE) return endOfNested(text, from);
  let at = from;
  while (at < text.length && !isEnd(text.charCodeAt(at))) at++;
  return at;
}

function endOfNested(text: string, from: number): number {
  let depth = 0;
  for (let at = from; at < text.length; ) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) {
      at = endOfString(text, at);
      continue;
    }
    if (code === OPEN_BRACKET || code === OPEN_BRACE) depth++;
    else if ((code === CLOSE_BRACKET || code === CLOSE_BRACE) && --depth === 0) return at + 1;
    at++;
  }
  return text.length;
}

function isEnd(code: number): boolean {
  return code === COMMA || code === CLOSE_BRACKET || code === CLOSE_BRACE || code <= SPACE;
}

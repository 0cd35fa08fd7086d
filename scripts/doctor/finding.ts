// Owns what the doctor says: a finding with its remedy. `sql` is what a DBA would run for it.

export type FindingLevel = 'ok' | 'note' | 'warning' | 'problem';

export type Finding = {
  readonly level: FindingLevel;
  readonly topic: string;
  readonly message: string;
  /** What to do about it; every warning and problem has one. */
  readonly remedy?: string | undefined;
  /** Statements for a superuser or owner, in order. */
  readonly sql?: readonly string[] | undefined;
};

const MARKS: Readonly<Record<FindingLevel, string>> = { ok: '✓', note: '·', warning: '!', problem: '✗' };

/** The lines of one finding. */
export function describeFinding({ level, topic, message, remedy, sql = [] }: Finding): string[] {
  const lines = [`${MARKS[level]} ${topic}: ${message}`];
  if (remedy !== undefined) lines.push(`    → ${remedy}`);
  return [...lines, ...sql.map((statement) => `      ${statement}`)];
}

/** Quotes an identifier if it needs it, as PostgreSQL's quote_ident does. Reserved words are quoted too often. */
export function quoteName(name: string): string {
  return /^[a-z_][a-z0-9_]*$/.test(name) && !RESERVED.has(name) ? name : `"${name.replaceAll('"', '""')}"`;
}

const RESERVED = new Set(['user', 'order', 'group', 'table', 'select', 'grant', 'to', 'default', 'all', 'none']);

// Owns the last line of a CI run: `N passed, N failed`, out of vitest's JSON report. A file that fails as a
// whole (it does not load, or it leaks) counts as one failure, and so does a run that ended before the tests.

import { readFileSync, realpathSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** `reportText` is empty where the tests did not begin. */
export function summarise(reportText, exitCode) {
  const files = reportText.trim() === '' ? [] : JSON.parse(reportText).testResults;
  let passed = 0;
  let failed = 0;
  for (const { status, assertionResults } of files) {
    const failures = assertionResults.filter((test) => test.status === 'failed').length;
    passed += assertionResults.filter((test) => test.status === 'passed').length;
    failed += status === 'failed' ? Math.max(failures, 1) : failures;
  }
  if (exitCode !== 0) failed = Math.max(failed, 1);
  return `${passed} passed, ${failed} failed`;
}

if (process.argv[1] && realpathSync(process.argv[1]) === realpathSync(fileURLToPath(import.meta.url))) {
  const [, , path, exitCode] = process.argv;
  console.log(summarise(readFileSync(path, 'utf8'), Number(exitCode)));
}

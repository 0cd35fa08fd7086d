// Owns the list of cases, in the order in which they run.

import type { BenchCase } from './bench-case.ts';
import { burst } from './cases/burst.ts';
import { decode } from './cases/decode.ts';
import { history } from './cases/history.ts';
import { journal } from './cases/journal.ts';
import { latency } from './cases/latency.ts';
import { publish } from './cases/publish.ts';
import { slowReaders } from './cases/slow-readers.ts';
import { webhooks } from './cases/webhooks.ts';

export const CASES: readonly BenchCase[] = [decode, latency, burst, journal, publish, slowReaders, webhooks, history];

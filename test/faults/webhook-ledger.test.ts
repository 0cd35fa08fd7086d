// Webhooks through kills of the server: every message reaches every endpoint that ever answers, in order where that was
// asked for, with the same bytes each time, signed, and counted to the message.

import { expect, it } from 'vitest';
import { newestPostgres } from '../rig/postgres.ts';
import { figure, randomFrom, scaled, seed } from '../rig/scale.ts';
import { runWebhookLedger } from './webhook-ledger.ts';
import type { Mix } from './webhook-receiver.ts';

const MESSAGES = scaled(2_000, 50_000);
const KILLS = scaled(3, 20);
const CHANNELS = scaled(7, 1);
const SETTLE_MS = scaled(45_000, 1_800_000);
const MIX: Mix = { ok: 88, redirect: 1, refuse: 2, busy: 2, fail: 3, slow: 2, never: 0.5, reset: 1.5 };

it(
  'every webhook arrives through kills of the server, and the history counts what was acknowledged',
  async () => {
    const report = await runWebhookLedger({
      postgres: newestPostgres(),
      messages: MESSAGES,
      kills: KILLS,
      channels: CHANNELS,
      mix: MIX,
      random: randomFrom(seed),
      settleMs: SETTLE_MS,
    });
    figure(
      `webhooks: seed ${seed}, mix ${JSON.stringify(MIX)}, ${MESSAGES} messages to 20 endpoints, ${KILLS} × SIGKILL: ` +
        `${report.requests} requests, ${report.repeated} of them repeated, answers ${JSON.stringify(report.answers)}, ` +
        `${Math.round(report.tookMs / 1000)} s`,
    );
    expect(report.violations).toEqual([]);
    expect(report.repeated).toBeGreaterThan(0);
  },
  SETTLE_MS + 120_000,
);

// The baseline of `webhooks`: the same bodies posted to the same receiver over as many connections, from memory: nothing
// is written down, nothing is signed, and nobody is judged.

import { Agent, request } from 'undici';
import { answerCalls } from '../processes/answer-calls.ts';

export type PostOrder = { readonly port: number; readonly requests: number; readonly inFlight: number };

async function post({ port, requests, inFlight }: PostOrder): Promise<number> {
  const dispatcher = new Agent({ connections: inFlight, pipelining: 1 });
  const headers = { 'content-type': 'application/json' };
  let sent = 0;
  const startedAt = performance.now();
  const send = async (): Promise<void> => {
    while (sent < requests) {
      const body = JSON.stringify({ channelName: 'bench:1', event: 'bench.event', payload: { n: sent++ } });
      const answer = await request(`http://127.0.0.1:${port}/ok`, { dispatcher, method: 'POST', headers, body });
      await answer.body.text();
    }
  };
  await Promise.all(Array.from({ length: inFlight }, send));
  const tookMs = performance.now() - startedAt;
  await dispatcher.close();
  return tookMs;
}

answerCalls({ post });

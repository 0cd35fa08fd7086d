// Owns `/docs`: the OpenAPI document as a page, from this server alone. It works without a network; its policy
// (CSP) lets the browser load and ask nothing but this server, whatever the page's program would like.

import { createHash } from 'node:crypto';
import fastify, { type FastifyInstance } from 'fastify';

const CONFIGURATION = {
  url: '/openapi.json',
  pageTitle: 'Rowcast API',
  // Everything that would ask another host.
  withDefaultFonts: false,
  telemetry: false,
  agent: { disabled: true },
  mcp: { disabled: true },
  hideClientButton: true,
  showDeveloperTools: 'never',
  persistAuth: false,
  proxyUrl: '',
  authentication: { preferredSecurityScheme: 'bearer' },
} as const;

const INLINE_SCRIPT = /<script type="text\/javascript">([\s\S]*?)<\/script>/;
const PROGRAM_PATH = '/docs/js/scalar.js';

export function registerDocsPage(app: FastifyInstance): void {
  let page: Promise<FastifyInstance> | undefined;
  const schema = { hide: true };
  app.get('/docs', { schema }, (_request, reply) => reply.redirect('/docs/', 301));
  for (const path of ['/docs/', PROGRAM_PATH]) {
    app.get(path, { schema }, async (_request, reply) => {
      page ??= openPage();
      const answer = await (await page).inject(path);
      const script = INLINE_SCRIPT.exec(path === PROGRAM_PATH ? '' : answer.body)?.[1];
      reply.headers({ 'content-security-policy': policy(script), 'referrer-policy': 'no-referrer' });
      return reply.type(String(answer.headers['content-type'])).send(answer.rawPayload);
    });
  }
}

// Its program takes a second to load and 30 MB to hold: only where somebody looks at the page, and so in an
// application of its own, because routes cannot be added to one that listens.
async function openPage(): Promise<FastifyInstance> {
  const { default: apiReference } = await import('@scalar/fastify-api-reference');
  const page = fastify();
  await page.register(apiReference, { routePrefix: '/docs', configuration: CONFIGURATION });
  return page;
}

// Styles are set by the program of the page, which can carry no hash.
function policy(script: string | undefined): string {
  const hash = script === undefined ? '' : ` 'sha256-${createHash('sha256').update(script).digest('base64')}'`;
  return [
    "default-src 'none'",
    `script-src 'self'${hash}`,
    "style-src 'self' 'unsafe-inline'",
    "img-src 'self' data:",
    "font-src 'self' data:",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; ');
}

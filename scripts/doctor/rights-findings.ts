// Owns the findings about what the main login may do: replicate and create, also the roles that tokens name.
// Each missing right comes with the statement that gives it. The login of policies: policy-login-findings.ts.

import type { Client } from 'pg';
import type { Config } from '../../server/config/config.ts';
import { type Finding, quoteName } from './finding.ts';

type LoginFacts = {
  login: string;
  database: string;
  superuser: boolean;
  replication: boolean;
  may_create: boolean;
  may_create_role: boolean;
  schema_owner: string | null;
  owns_schema: boolean;
};
type RoleFacts = { name: string; exists: boolean; bypassrls: boolean };

/** What the login of DATABASE_URL lacks. */
export async function rightsFindings(client: Client, config: Config): Promise<Finding[]> {
  const facts = await readLogin(client);
  const login = quoteName(facts.login);
  return [
    { level: 'ok', topic: 'login', message: `${facts.login}${facts.superuser ? ' (superuser)' : ''}` },
    ...judgeReplication(facts, login),
    ...judgeCreate(facts, login),
    ...judgeSchema(facts, login),
    ...(await judgeRoles(client, config, facts, login)),
  ];
}

async function readLogin(client: Client): Promise<LoginFacts> {
  const { rows } = await client.query<LoginFacts>(`
    select current_user::text as login, current_database()::text as database, r.rolsuper as superuser,
      r.rolreplication or exists (select from pg_roles m where m.rolname in ('rds_replication', 'rds_superuser')
        and pg_has_role(r.oid, m.oid, 'USAGE')) as replication,
      has_database_privilege(current_database(), 'CREATE') as may_create,
      r.rolcreaterole or r.rolsuper as may_create_role,
      (select n.nspowner::regrole::text from pg_namespace n where n.nspname = 'realtime') as schema_owner,
      coalesce((select pg_has_role(n.nspowner, 'USAGE') from pg_namespace n where n.nspname = 'realtime'), true) as owns_schema
    from pg_roles r where r.rolname = current_user`);
  return rows[0] as LoginFacts;
}

function judgeReplication({ superuser, replication }: LoginFacts, login: string): Finding[] {
  if (superuser || replication) return [{ level: 'ok', topic: 'replication', message: 'the login may replicate' }];
  return [
    {
      level: 'problem',
      topic: 'replication',
      message: 'the login has no REPLICATION, so it can neither make nor read a slot',
      remedy: 'run as a superuser (Amazon RDS: grant rds_replication to it instead)',
      sql: [`alter role ${login} replication;`],
    },
  ];
}

function judgeCreate({ database, may_create, schema_owner }: LoginFacts, login: string): Finding[] {
  if (may_create) return [{ level: 'ok', topic: 'create', message: `the login may create in ${database}` }];
  const what = schema_owner === null ? 'the schema realtime and the publications' : 'publications';
  return [
    {
      level: 'problem',
      topic: 'create',
      message: `the login may not create ${what} in ${database}`,
      remedy: 'run as the owner of the database',
      sql: [`grant create on database ${quoteName(database)} to ${login};`],
    },
  ];
}

function judgeSchema({ schema_owner, owns_schema }: LoginFacts, login: string): Finding[] {
  if (schema_owner === null) {
    return [
      { level: 'note', topic: 'schema', message: 'the schema realtime does not exist yet; the first start makes it' },
    ];
  }
  if (owns_schema) return [{ level: 'ok', topic: 'schema', message: `realtime belongs to ${schema_owner}` }];
  return [
    {
      level: 'problem',
      topic: 'schema',
      message: `the schema realtime belongs to ${schema_owner}, not to this login`,
      remedy: 'use the login that set Rowcast up, or let this one act as its owner',
      sql: [`grant ${schema_owner} to ${login};`],
    },
  ];
}

async function judgeRoles(client: Client, config: Config, facts: LoginFacts, login: string): Promise<Finding[]> {
  const { rows } = await client.query<RoleFacts>(
    `select w.name, r.oid is not null as "exists", coalesce(r.rolbypassrls or r.rolsuper, false) as bypassrls
     from unnest($1::text[]) with ordinality w (name, place) left join pg_roles r on r.rolname = w.name order by w.place`,
    [config.auth.roles],
  );
  return rows.flatMap((role) => judgeRole(role, facts, login));
}

function judgeRole({ name, exists, bypassrls }: RoleFacts, facts: LoginFacts, login: string): Finding[] {
  const topic = `role ${name}`;
  const grant = `grant ${quoteName(name)} to ${login};`;
  const findings: Finding[] = [];
  if (!exists && !facts.may_create_role) {
    const sql = [`create role ${quoteName(name)} nologin noinherit;`, grant];
    const remedy = 'run as a login with CREATEROLE, or take it off ROWCAST_ROLES';
    findings.push({ level: 'problem', topic, message: 'does not exist, and the login may not create it', remedy, sql });
  }
  if (bypassrls) {
    const message = 'has BYPASSRLS: every token of this role sees all rows that it may SELECT';
    findings.push({ level: 'warning', topic, message, remedy: 'move it to ROWCAST_ADMIN_ROLES if that is meant' });
  }
  return findings;
}

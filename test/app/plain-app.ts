// Owns a server whose login is not a superuser, as managed databases have it: REPLICATION, CREATE on the database,
// and tables of its own or of a role that it is a member of.

import { randomBytes } from 'node:crypto';
import type { TestPostgres } from '../rig/postgres.ts';
import { startTestApp, type TestApp, type TestLogin } from './test-app.ts';

function plainLogin(): TestLogin & { readonly owner: string; readonly dropRoles: string } {
  const suffix = randomBytes(4).toString('hex');
  const [user, owner, password] = [`plain_${suffix}`, `owner_${suffix}`, 'plain'];
  const prepare = `
    create role ${owner} nologin;
    create role ${user} login replication password '${password}';
    grant ${owner} to ${user};
    do $$ begin execute format('grant create on database %I to ${user}', current_database()); end $$;
    grant create, usage on schema public to ${owner};
    create table mine (id int primary key); alter table mine owner to ${owner};
    create table theirs (id int primary key);`;
  return {
    user,
    owner,
    password,
    prepare,
    dropRoles: `drop owned by ${user}, ${owner} cascade; drop role ${user}, ${owner}`,
  };
}

/** `work` with a table `mine` that the login may watch, and a table `theirs` that it may not. */
export async function withPlainApp(
  postgres: TestPostgres,
  work: (app: TestApp, login: TestLogin) => Promise<void>,
): Promise<void> {
  const login = plainLogin();
  const app = await startTestApp(postgres, { login });
  try {
    await work(app, login);
  } finally {
    await app.app().stop();
    await app.database.query(`select pg_drop_replication_slot('${app.database.slot}')`);
    await app.database.query(login.dropRoles);
    await app[Symbol.asyncDispose]();
  }
}

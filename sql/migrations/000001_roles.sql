-- The roles that tokens name, made where they are missing, and auth.uid(), auth.role(), auth.jwt() for
-- policies, made where the database has none. Nothing that exists is changed or replaced.
-- A login that may not create them gets a warning with the statement: Rowcast works with what is there.

do $$
declare
  wanted record;
begin
  for wanted in
    select r.rolname, r.attributes
    from (values ('anon', 'nologin noinherit'), ('authenticated', 'nologin noinherit'), ('service_role', 'nologin noinherit bypassrls'))
      as r (rolname, attributes)
    where not exists (select from pg_catalog.pg_roles p where p.rolname = r.rolname)
  loop
    begin
      execute format('create role %I %s', wanted.rolname, wanted.attributes);
    exception
      -- Roles belong to the whole cluster: another server may have made this one in the meantime.
      when duplicate_object or unique_violation then null;
      when insufficient_privilege then
        begin
          -- Only a superuser (from 16 on: also a login with bypassrls) may hand out bypassrls.
          execute format('create role %I %s', wanted.rolname, replace(wanted.attributes, ' bypassrls', ''));
          if wanted.attributes like '%bypassrls' then
            raise notice 'role % was created without bypassrls: %', wanted.rolname, sqlerrm;
          end if;
        exception
          when duplicate_object or unique_violation then null;
          when insufficient_privilege then
            raise warning 'role % is missing and % may not create it', wanted.rolname, current_user
              using hint = format('run as a superuser: create role %I %s;', wanted.rolname, wanted.attributes);
        end;
    end;
  end loop;
end
$$;

do $$
begin
  if to_regnamespace('auth') is null then
    create schema auth;
    grant usage on schema auth to public;
    comment on schema auth is 'Claims of the current request, for policies. Made by Rowcast because the database had none.';
  end if;

  if to_regprocedure('auth.jwt()') is null then
    create function auth.jwt() returns jsonb language sql stable
      as $f$ select nullif(current_setting('request.jwt.claims', true), '')::jsonb $f$;
    comment on function auth.jwt() is 'All claims of the current token; null without one.';
  end if;

  if to_regprocedure('auth.uid()') is null then
    create function auth.uid() returns uuid language sql stable
      as $f$ select nullif(nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub', '')::uuid $f$;
    comment on function auth.uid() is 'The claim sub as a uuid; null without one. Raises where sub is no uuid.';
  end if;

  if to_regprocedure('auth.role()') is null then
    create function auth.role() returns text language sql stable
      as $f$ select nullif(nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'role', '') $f$;
    comment on function auth.role() is 'The claim role; null without one.';
  end if;
exception
  when insufficient_privilege then
    raise warning 'auth.uid(), auth.role() or auth.jwt() is missing and % may not create it: %', current_user, sqlerrm
      using hint = format('run as the owner of schema auth: grant create on schema auth to %I; or create them yourself', current_user);
end
$$;

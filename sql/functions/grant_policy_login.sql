-- What the login that policies run on needs of this schema: to find it, and to run the functions that judge and
-- publish.
-- Given again at every start, whoever the login is by now. It gets no table.
create or replace function realtime.grant_policy_login(login name) returns void
language plpgsql
as $$
declare
  judging regprocedure;
begin
  execute format('grant usage on schema realtime to %I', grant_policy_login.login);
  for judging in
    select p.oid from pg_catalog.pg_proc p
    where p.pronamespace = 'realtime'::regnamespace and p.proname in ('judge_rows', 'judge_channels', 'rules_fingerprint', 'publish_as')
    order by p.oid
  loop
    execute format('grant execute on function %s to %I', judging, grant_policy_login.login);
  end loop;
end
$$;

revoke execute on function realtime.grant_policy_login(name) from public;
comment on function realtime.grant_policy_login(name) is 'Gives the policy login what it needs of schema realtime: usage, and the functions that judge and publish.';

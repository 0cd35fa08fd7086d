-- A secret of Standard Webhooks: 32 bytes that nobody can guess, made from random UUIDs of 122 random bits each.
create or replace function realtime.webhook_secret() returns text
language sql volatile
as $$
  select 'whsec_' || encode(sha256(
    uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())), 'base64')
$$;

revoke execute on function realtime.webhook_secret() from public;
comment on function realtime.webhook_secret() is 'Internal: a new secret for the signatures of an endpoint.';

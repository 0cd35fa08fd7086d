-- Changes with everything in the catalogue that decides about subscriptions: the channel rows, the policies,
-- columns and grants of realtime.channels, what is watched and its grants, role memberships and attributes,
-- and the user's own functions, which policies may call. What policies read in other tables is not in it: for
-- that, live subscriptions are judged again from time to time.
-- Digests do not depend on the order of rows; xmin makes them transactional, which updated_at is not.
create or replace function realtime.channels_fingerprint() returns text
language sql stable set search_path = pg_catalog, pg_temp
as $$
  with watched (relid) as (
    select 'realtime.channels'::regclass::oid
    union
    select r.prrelid from pg_publication_rel r join pg_publication p on p.oid = r.prpubid
    where starts_with(p.pubname::text, realtime.publication_prefix())
  )
  select concat_ws(' ',
    (select concat_ws(':', count(*), bit_xor(uuid_hash_extended(c.id, c.xmin::text::bigint))) from realtime.channels c),
    (select bit_xor(hashtextextended(concat_ws(' ', p.oid, p.xmin), 0)) from pg_policy p
       where p.polrelid = 'realtime.channels'::regclass),
    (select concat_ws(':', count(*), bit_xor(hashtextextended(concat_ws(' ', c.oid, c.xmin), 0)))
       from watched w join pg_class c on c.oid = w.relid),
    (select bit_xor(hashtextextended(concat_ws(' ', a.attrelid, a.attnum, a.xmin), 0))
       from watched w join pg_attribute a on a.attrelid = w.relid and a.attnum > 0),
    (select bit_xor(hashtextextended(concat_ws(' ', w.relid, w.publication, w.watched_at), 0)) from realtime.watched w),
    (select bit_xor(hashtextextended(concat_ws(' ', n.oid, n.xmin), 0)) from pg_namespace n
       where n.nspname !~ '^pg_(temp|toast_temp)_'),
    (select concat_ws(':', count(*), bit_xor(hashtextextended(concat_ws(' ', m.roleid, m.member, m.xmin), 0)))
       from pg_auth_members m),
    (select bit_xor(hashtextextended(concat_ws(' ', r.oid, r.rolname, r.rolsuper, r.rolinherit, r.rolbypassrls), 0))
       from pg_roles r),
    (select concat_ws(':', count(*), bit_xor(hashtextextended(concat_ws(' ', f.oid, f.xmin), 0)))
       from pg_proc f where f.oid >= 16384))
$$;

revoke execute on function realtime.channels_fingerprint() from public;
comment on function realtime.channels_fingerprint() is
  'A text that changes whenever the catalogue may decide otherwise about a subscription.';

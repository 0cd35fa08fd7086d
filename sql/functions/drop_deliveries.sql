-- Deliveries of endpoints that were deleted go with them. What the journal writes at that very moment stays behind: nobody
-- claims it, for there is no endpoint to claim, and it is removed with the old ones.
create or replace function realtime.drop_deliveries() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
  delete from realtime.webhook_deliveries d using removed r where d.endpoint_id = r.id;
  return null;
end
$$;

revoke execute on function realtime.drop_deliveries() from public;
comment on function realtime.drop_deliveries() is 'Trigger of realtime.webhook_endpoints: deletes the deliveries of endpoints that are deleted.';

create or replace trigger webhook_endpoints_drop_deliveries after delete on realtime.webhook_endpoints
  referencing old table as removed for each statement execute function realtime.drop_deliveries();

-- Takes back what a leader wrote of transactions that it did not finish: they come again, whole, and so do their deliveries,
-- with the same ids and bodies. What was sent of them already is sent again, and counted once. Ids and positions of
-- deliveries have one order, so only the last of them are looked at.
create or replace function realtime.take_back_changes(handled_end text) returns void
language plpgsql volatile
as $$
declare
  first_id bigint := (
    select d.id from realtime.webhook_deliveries d where d.position <= handled_end order by d.id desc limit 1);
begin
  -- For the rest of the transaction: only a superuser may have it set by the function itself.
  perform set_config('realtime.takes_back', 'on', true);
  delete from realtime.webhook_deliveries d where d.id > coalesce(first_id, 0) and d.position > handled_end and d.source = 'changes';
  delete from realtime.changes c where c.position > handled_end;
end
$$;

revoke execute on function realtime.take_back_changes(text) from public;
comment on function realtime.take_back_changes(text) is
  'Internal: deletes row changes behind a position from history, and their deliveries.';

-- Published messages and row changes in one list, for admins: columns of the history JSON in snake_case,
-- and the position that orders them. Runs with its owner's rights: changes has no grants, and whoever may
-- read this view (admin roles) may read both.
create or replace view realtime.history with (security_invoker = false) as
select m.id, m.event_name, c.id as channel_id, m.channel_name, m.payload, m.sender_type, m.sender_id,
       m.ws_audience_count, m.wh_audience_count, m.wh_delivered_count, m.created_at, m.position
from realtime.messages m
  left join realtime.channels c on c.id = m.channel_id
union all
select realtime.message_id(h.position, (select k.system_identifier from realtime.checkpoint k)), h.op, c.id, 'db:' || h.relation, h.payload,
       'system', null, h.ws_audience_count, h.wh_audience_count, h.wh_delivered_count, h.committed_at, h.position
from realtime.changes h
  left join realtime.channels c on c.pattern = 'db:' || h.relation;

comment on view realtime.history is 'Published messages and row changes, for admins. channel_id is null once the channel row is gone. Order by position.';

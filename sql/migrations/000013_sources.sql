-- Webhooks in, the rest of them: what a plan allows, and by which limit a month was counted.

alter table realtime.sources
  add constraint sources_free_limit check (plan <> 'free' or monthly_limit <= 1000);
comment on constraint sources_free_limit on realtime.sources is 'The plan free allows 1,000 a month; less may be set, not more.';

alter table realtime.source_usage add column monthly_limit integer;
comment on column realtime.source_usage.month is 'The first day of the month, in UTC.';
comment on column realtime.source_usage.monthly_limit is 'The limit by which the last one was accepted, which stays that of the month once it is over; null = none.';

-- What leasing and finishing deliveries need: when a lease began, and the batch that is to be sent before anything else.

alter table realtime.webhook_endpoints add column open_batch_id uuid;
comment on column realtime.webhook_endpoints.open_batch_id is
  'The batch that was tried and is not finished: its members are frozen, and it is sent again before any other delivery.';
comment on column realtime.webhook_endpoints.next_attempt_at is
  'After five failures in a row the endpoint is only probed, and not before this; null while it is well.';

alter table realtime.webhook_deliveries add column leased_at timestamptz;
comment on column realtime.webhook_deliveries.leased_at is 'When the last attempt began.';

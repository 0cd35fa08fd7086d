-- Judges row images: for each entry, which rows of a set make a statement true under one identity. One call
-- for a batch of changes and all distinct identities. As the caller (the policy login), who may take the
-- roles of ROWCAST_ROLES and nothing else; stable, so that everything is read in the calling statement's snapshot.
--
-- state is `invisible` where a transaction is not yet contained in that snapshot (a commit is streamed before
-- it is visible), `stale` where the rules of a table are not the expected ones, else `ok`; then hits holds one
-- array of row numbers for each entry that was judged within the budget (`*` for all), and failures
-- `entry:row:sqlstate:message` for rows that raised (row 0: all that are not hits).
--
-- What must stay: EXECUTE for each entry (a function wrongly marked IMMUTABLE would be folded once for all);
-- role and claims set outside of the block in which a statement runs, and that block always ended by an error of
-- our own, because that takes back whatever a policy's functions have set, for the session too; what may pass by
-- itself (locks, resources) ends the call; nothing is returned before everything is judged; what is told while
-- tracing carries a word that no policy knows.
create or replace function realtime.judge_rows(
  xids bigint[], relids oid[], expected text[],
  images text[], sets integer[],
  statements text[], statement_sets integer[],
  identity_roles text[], identity_claims text[], identity_channels text[], identity_zones text[],
  entry_identities integer[], entry_statements integer[], suspects boolean[],
  budget_ms integer, trace text)
returns table (state text, hits text[], failures text[])
language plpgsql stable
as $$
declare
  snapshot constant pg_snapshot := pg_current_snapshot();
  xmax constant bigint := pg_snapshot_xmax(snapshot)::text::bigint;
  started constant timestamptz := clock_timestamp();
  own_zone constant text := current_setting('TimeZone');
  -- One statement that raises for so many rows of a batch is not taken apart any further.
  max_raised constant integer := 16;
  size integer;
  statement text;
  rows realtime.image[];
  rows_of integer := 0;
  judged_as integer := 0;
  is_taken boolean;
  lows integer[];
  highs integer[];
  low integer;
  high integer;
  part bigint[];
  found_rows bigint[];
  raised integer;
  passes boolean;
begin
  hits := '{}';
  failures := '{}';
  -- 32 bits of the stream, widened against xmax as a signed difference.
  if exists (
    select from unnest(xids) as x (low32)
    where not pg_visible_in_snapshot(
      (xmax + ((x.low32 - (xmax & 4294967295) + 6442450944) & 4294967295) - 2147483648)::text::xid8, snapshot)) then
    state := 'invisible';
    return next;
    return;
  end if;
  if expected is not null and realtime.rules_fingerprint(relids) is distinct from expected then
    state := 'stale';
    return next;
    return;
  end if;
  state := 'ok';
  perform set_config('transaction_read_only', 'on', true), set_config('lock_timeout', '1000', true);
  if trace is not null then perform set_config('client_min_messages', 'notice', true); end if;

  for entry in 1 .. coalesce(cardinality(entry_statements), 0) loop
    exit when entry > 1 and clock_timestamp() > started + make_interval(secs => budget_ms / 1000.0);
    statement := statements[entry_statements[entry]];

    if rows_of <> statement_sets[entry_statements[entry]] then
      -- As the caller: a role need not know the type.
      rows_of := statement_sets[entry_statements[entry]];
      judged_as := 0;
      perform set_config('role', 'none', true);
      select array_agg(row(i.image::text[])::realtime.image order by i.place) into rows
      from unnest(images, sets) with ordinality as i (image, set_number, place) where i.set_number = rows_of;
      size := coalesce(cardinality(rows), 0);
    end if;

    if judged_as <> entry_identities[entry] then
      judged_as := entry_identities[entry];
      begin
        perform set_config('role', coalesce(identity_roles[judged_as], 'none'), true),
                set_config('request.jwt.claims', identity_claims[judged_as], true),
                set_config('realtime.channel_name', identity_channels[judged_as], true),
                set_config('TimeZone', coalesce(identity_zones[judged_as], own_zone), true);
        is_taken := true;
      exception
        when insufficient_privilege or invalid_parameter_value or undefined_object then
          judged_as := 0;
          is_taken := false;
          failures := failures || format('%s:0:%s:%s', entry, sqlstate, left(sqlerrm, 300));
      end;
    end if;
    if not is_taken then
      hits := hits || '{}'::text;
      continue;
    end if;

    found_rows := '{}';
    raised := 0;
    lows := array[1];
    highs := array[size];
    while cardinality(lows) > 0 and size > 0 loop
      low := lows[1];
      high := highs[1];
      lows := lows[2:];
      highs := highs[2:];
      begin
        if trace is not null then raise notice '% %', trace, entry; end if;
        if low = 1 and high = size then
          execute statement into part using rows;
        else
          execute statement into part using rows[low:high];
        end if;
        raise sqlstate 'RC000';
      exception
        when sqlstate 'RC000' then
          if cardinality(part) > 0 then
            found_rows := found_rows || (select array_agg(p.place + low - 1) from unnest(part) as p (place));
          end if;
        when lock_not_available or deadlock_detected or insufficient_resources or operator_intervention then
          raise;
        when assert_failure or others then
          if low = high then
            raised := raised + 1;
            failures := failures || format('%s:%s:%s:%s', entry, low, sqlstate, left(sqlerrm, 300));
          else
            -- Whoever raised for every row of a batch before is tried on a few of them first.
            passes := not suspects[entry] or low > 1 or high < size;
            if not passes then
              foreach low in array array[1, 1 + size / 3, 1 + 2 * size / 3, size] loop
                begin
                  execute statement into part using rows[low:low];
                  raise sqlstate 'RC000';
                exception
                  when sqlstate 'RC000' then
                    passes := true;
                    exit;
                  when lock_not_available or deadlock_detected or insufficient_resources or operator_intervention then
                    raise;
                  when assert_failure or others then null;
                end;
              end loop;
              low := 1;
            end if;
            if passes and raised < max_raised then
              lows := array[low, (low + high) / 2 + 1] || lows;
              highs := array[(low + high) / 2, high] || highs;
            else
              failures := failures || format('%s:0:%s:%s', entry, sqlstate, left(sqlerrm, 300));
              lows := '{}';
            end if;
          end if;
      end;
    end loop;
    hits := hits || case when cardinality(found_rows) = size and size > 0 then '*' else found_rows::text end;
  end loop;

  perform set_config('role', 'none', true);
  return next;
end
$$;

revoke execute on function realtime.judge_rows(bigint[], oid[], text[], text[], integer[], text[], integer[], text[], text[], text[], text[], integer[], integer[], boolean[], integer, text) from public;
comment on function realtime.judge_rows(bigint[], oid[], text[], text[], integer[], text[], integer[], text[], text[], text[], text[], integer[], integer[], boolean[], integer, text) is
  'Internal: which row images make statements true under which identities. For the policy login.';

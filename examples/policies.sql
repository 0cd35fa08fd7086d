-- Policies as you would write them: who may see which rows, and who may subscribe and publish where.
-- Runs as it is, and again, in a database that Rowcast was started over: npm run sql -- --file examples/policies.sql
-- Its tables are in the schema "examples". To be rid of it all, run the first section alone, and then
--   delete from realtime.channels where pattern like 'db:examples.%' or pattern = 'chat:*';
--
-- Rowcast asks the same row security as a SELECT does, with the claims of the token in request.jwt.claims:
-- auth.uid() is the claim "sub" as a uuid, auth.jwt() all claims. No policy = no access; an error = no access.
-- A user of a table channel passes three doors: a policy on realtime.channels opens the channel (7), a grant
-- opens the table (at least one column), and a policy of the table opens the row (1 to 5).
-- "full => true" keeps whole old rows in the WAL: only with them are users told of rows that come into their
-- view or leave it by an UPDATE, and of every DELETE.

-- ---------------------------------------------------------------------------------------------- clean slate
drop policy if exists examples_rooms on realtime.channels;
drop policy if exists examples_tables on realtime.channels;
drop policy if exists examples_public_table on realtime.channels;
drop policy if exists examples_rooms_publish on realtime.messages;
drop policy if exists examples_rooms_read on realtime.messages;
drop schema if exists examples cascade;

create schema examples;
-- Policies are read under the role of the token: it needs USAGE on every schema that its policies name.
grant usage on schema examples to anon, authenticated;

-- ------------------------------------------------------------------------------------------ 1. the owner's rows
-- Opens: to each user its own notes, and nobody else's. Needs: a claim "sub" that is a uuid. For other ids
-- compare texts: owner = auth.jwt() ->> 'sub'.
create table examples.notes (
  id bigint generated always as identity primary key,
  owner uuid not null default auth.uid(),
  body text not null
);
alter table examples.notes enable row level security;
create policy own on examples.notes for select to authenticated
  using (owner = auth.uid());
grant select on examples.notes to authenticated;
select realtime.watch('examples.notes', full => true);

-- -------------------------------------------------------------------------------------- 2. the tenant's rows
-- Opens: the rows of the tenant that the token names. Needs: a claim "tenant" that whoever signs the tokens
-- sets, never the user. ->> gives a text, so it is cast to the column's type. Without the claim it is null
-- and nothing is seen; a claim that is no number raises, and nothing is seen either.
-- Claims deeper down: (auth.jwt() -> 'app_metadata' ->> 'tenant')::bigint.
create table examples.invoices (
  id bigint generated always as identity primary key,
  tenant bigint not null,
  total numeric not null
);
alter table examples.invoices enable row level security;
create policy tenant on examples.invoices for select to authenticated
  using (tenant = (auth.jwt() ->> 'tenant')::bigint);
grant select on examples.invoices to authenticated;
select realtime.watch('examples.invoices', full => true);

-- ------------------------------------------------------------------------------- 3. the rows of one's teams
-- Opens: the rows of every team that the user is a member of. What a policy reads in other tables is read when
-- the change is delivered: whoever joins sees later changes, whoever leaves sees no more of them. Neither is
-- an event of the row, so nothing is sent for it.
create table examples.memberships (
  team bigint not null,
  member uuid not null,
  primary key (team, member)
);
-- Closed to everybody: who is in which team is not for all to read.
alter table examples.memberships enable row level security;

-- 3a. By a function with the rights of its owner. Without SECURITY DEFINER the policy would read memberships
-- as the user, who may not (up to here; 3b opens a part), and raise: no access. It also ends the endless
-- recursion of two policies that read each other's tables. The fixed search_path is a must, for the function
-- lends rights.
create function examples.is_member(team bigint) returns boolean
language sql stable security definer set search_path = ''
as $$ select exists (select from examples.memberships m where m.team = is_member.team and m.member = auth.uid()) $$;
revoke execute on function examples.is_member(bigint) from public;
grant execute on function examples.is_member(bigint) to authenticated;

create table examples.documents (
  id bigint generated always as identity primary key,
  team bigint not null,
  title text not null
);
alter table examples.documents enable row level security;
create policy team on examples.documents for select to authenticated
  using (examples.is_member(team));
grant select on examples.documents to authenticated;
select realtime.watch('examples.documents', full => true);

-- 3b. By a sub-query, where users may read what it reads: here, their own memberships. It needs the grant, and
-- a policy on memberships as well, since that table has row security: without it the sub-query finds nothing.
create policy own on examples.memberships for select to authenticated
  using (member = auth.uid());
grant select on examples.memberships to authenticated;

create table examples.tasks (
  id bigint generated always as identity primary key,
  team bigint not null,
  title text not null
);
alter table examples.tasks enable row level security;
create policy team on examples.tasks for select to authenticated
  using (exists (select from examples.memberships m where m.team = tasks.team and m.member = auth.uid()));
grant select on examples.tasks to authenticated;
select realtime.watch('examples.tasks', full => true);

-- ------------------------------------------------------------------------------------------- 4. public rows
-- Opens: published articles to everybody, also without an account (role anon). Unpublishing one reaches
-- subscribers as a DELETE with the key, publishing one as an INSERT; drafts are not told at all.
create table examples.articles (
  id bigint generated always as identity primary key,
  title text not null,
  published boolean not null default false
);
alter table examples.articles enable row level security;
create policy published on examples.articles for select to anon, authenticated
  using (published);
grant select on examples.articles to anon, authenticated;
select realtime.watch('examples.articles', full => true);

-- -------------------------------------------------------------------------------------------- 5. some columns
-- Opens: id and name of active profiles. Other columns are not sent and may not be filtered by. The policy
-- itself may read columns that are not granted, as "active" here.
-- A table-wide grant includes every column: revoke it first where there is one.
create table examples.profiles (
  id uuid primary key,
  name text not null,
  email text not null,
  active boolean not null default true
);
alter table examples.profiles enable row level security;
create policy active on examples.profiles for select to authenticated
  using (active);
grant select (id, name) on examples.profiles to authenticated;
select realtime.watch('examples.profiles', full => true);

-- -------------------------------------------------------------------------------------------- 6. chat rooms
-- Opens: the channels chat:<room> to the members of each room: to subscribe, to publish, and to read the
-- history. Needs: the row chat:* in realtime.channels, a name without * in the client, and a function that
-- answers for members (as 3a).
create table examples.room_members (
  room text not null,
  member uuid not null,
  primary key (room, member)
);
alter table examples.room_members enable row level security;
create function examples.is_in_room(room text) returns boolean
language sql stable security definer set search_path = ''
as $$ select exists (select from examples.room_members m where m.room = is_in_room.room and m.member = auth.uid()) $$;
revoke execute on function examples.is_in_room(text) from public;
grant execute on function examples.is_in_room(text) to authenticated;

insert into realtime.channels (pattern, description) values ('chat:*', 'one channel a room')
on conflict do nothing;

-- Subscribing = SELECT of the row of realtime.channels that decides about the name; realtime.channel_name() is
-- the name that is asked about, chat:lobby, and null outside of such a question. split_part takes the room; it
-- also admits chat:lobby:typing to the members of lobby. The first condition keeps the policy off other names.
create policy examples_rooms on realtime.channels for select to authenticated
  using (realtime.channel_name() like 'chat:%'
     and examples.is_in_room(split_part(realtime.channel_name(), ':', 2)));

-- Publishing = INSERT into realtime.messages, by whatever way. Who the sender is is settled by Rowcast (the claim
-- "sub"), and the policy sees it as sender_id.
create policy examples_rooms_publish on realtime.messages for insert to authenticated
  with check (realtime.channel_name() like 'chat:%' and event_name in ('message', 'reaction')
     and examples.is_in_room(split_part(realtime.channel_name(), ':', 2)));

-- Reading the history is a SELECT of many rows: the name is the row's own.
create policy examples_rooms_read on realtime.messages for select to authenticated
  using (channel_name like 'chat:%'
     and examples.is_in_room(split_part(channel_name, ':', 2)));

-- --------------------------------------------------------------------------------------- 7. table channels
-- Opens: the channels of tables, none of their rows. So it may be wide where every watched table has row
-- security or is meant for all: realtime.channel_name() like 'db:%' opens all, now and later.
-- Names are db:<table> in schema public, else db:<schema>.<table>.
create policy examples_tables on realtime.channels for select to authenticated
  using (realtime.channel_name() like 'db:examples.%');
-- Or by exact names:
create policy examples_public_table on realtime.channels for select to anon
  using (realtime.channel_name() = 'db:examples.articles');

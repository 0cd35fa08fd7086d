-- What judging needs: the form in which row images are handed to policies, and the password of the login
-- under which policies run, so that every server of this database can use the same one.

create type realtime.image as (v text[]);
comment on type realtime.image is 'One row image: the exact texts of its columns by their place, null where a column is null or not needed.';

alter table realtime.settings add column policy_password text;
comment on column realtime.settings.policy_password is 'Password of the policy login where Rowcast made it: it owns nothing and may only take the roles of ROWCAST_ROLES. Null where the login was given.';

// Owns the pieces of SQL that statements about channels share.

/** The like_pattern of a name or pattern, as realtime.channels generates it: what its unique index finds a row by. */
export const likePatternOf = (text: string): string =>
  String.raw`replace(replace(replace(replace(${text}, '\', '\\'), '_', '\_'), '%', '*'), '*', '_%')`;

/** Whether old images of the table `oid` are whole: replica identity full, on every partition too. */
export const isFullOf = (oid: string): string => `not exists (
        select from realtime.table_members(${oid}) as m join pg_catalog.pg_class as p on p.oid = m.member
        where p.relreplident <> 'f')`;

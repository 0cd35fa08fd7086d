// Owns the pieces of SQL that statements about channels share.

/** The like_pattern of a name or pattern, as realtime.channels generates it: what its unique index finds a row by. */
export const likePatternOf = (text: string): string =>
  String.raw`replace(replace(replace(replace(${text}, '\', '\\'), '_', '\_'), '%', '*'), '*', '_%')`;

/** Whether old images of the table `oid` are whole: replica identity full, on every partition too. */
export const isFullOf = (oid: string): string => `not exists (
        select from realtime.table_members(${oid}) as m join pg_catalog.pg_class as p on p.oid = m.member
        where p.relreplident <> 'f')`;

/** The position from which on a watched relation is watched completely; null where it always was. */
export function completeFromOf(relation: string): string {
  return `(select f.position from realtime.history_floors as f
    where f.source = 'changes' and f.channel_key = ${relation} and f.cause = 'not_watched')`;
}

// Owns the reading of user-defined types from the catalogue, with all that they are made of. How a type is
// written as JSON is decided by whoever asks.

import type { Pool } from 'pg';

export type CatalogueType = {
  readonly oid: number;
  readonly kind: 'base' | 'composite' | 'domain' | 'enum' | 'array' | 'other';
  /** The element of an array, the base of a domain; 0 otherwise. */
  readonly of: number;
  readonly delimiter: string;
  /** Of a composite, in order. */
  readonly fields: readonly { readonly name: string; readonly typeOid: number }[];
};

const TYPES = `
  with recursive needed (oid) as (
    select x::oid from pg_catalog.unnest($1::int8[]) as x
    union
    select part.oid
    from needed as n
    join pg_catalog.pg_type as t on t.oid = n.oid
    cross join lateral (
      select t.typbasetype where t.typtype = 'd'
      union all select t.typelem where t.typcategory = 'A'
      union all select a.atttypid from pg_catalog.pg_attribute as a
        where t.typtype = 'c' and a.attrelid = t.typrelid and a.attnum > 0 and not a.attisdropped
    ) as part (oid)
  )
  select t.oid,
    case
      when t.typtype = 'd' then 'domain'
      when t.typtype = 'c' then 'composite'
      when t.typtype = 'e' then 'enum'
      when t.typcategory = 'A' then 'array'
      when t.typtype = 'b' then 'base'
      else 'other'
    end as kind,
    case when t.typtype = 'd' then t.typbasetype when t.typcategory = 'A' then t.typelem else 0::oid end as of,
    e.typdelim as delimiter,
    coalesce((
      select pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object('name', a.attname, 'typeOid', a.atttypid::int8) order by a.attnum)
      from pg_catalog.pg_attribute as a
      where t.typtype = 'c' and a.attrelid = t.typrelid and a.attnum > 0 and not a.attisdropped
    ), '[]')::text as fields
  from needed as n
  join pg_catalog.pg_type as t on t.oid = n.oid
  left join pg_catalog.pg_type as e on e.oid = t.typelem`;

/** The types of `oids` and their parts; a type that is gone is left out. */
export async function readTypes(pool: Pool, oids: readonly number[]): Promise<CatalogueType[]> {
  const { rows } = await pool.query<Omit<CatalogueType, 'fields'> & { fields: string }>(TYPES, [oids]);
  return rows.map((row) => ({ ...row, delimiter: row.delimiter ?? ',', fields: JSON.parse(row.fields) }));
}

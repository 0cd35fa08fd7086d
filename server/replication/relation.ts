// Owns what a Relation message tells of a table. Each message makes a new object: pgoutput sends one before
// the first row after any change of columns, policies, grants or owner, so caches keyed by the object are
// invalid exactly when they should be (traps of Postgres, rule 11).

export type RelationColumn = {
  readonly name: string;
  readonly typeOid: number;
  /** Part of the replica identity. */
  readonly isKey: boolean;
};

/** `full`: old images are whole rows. `key`: primary key or index. `none`: no old images at all. */
export type ReplicaIdentity = 'full' | 'key' | 'none';

export type Relation = {
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
  readonly identity: ReplicaIdentity;
  readonly columns: readonly RelationColumn[];
};

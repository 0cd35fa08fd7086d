// Owns the widening of the stream's 32-bit transaction ids to the 64 bits that snapshots use
// (traps of Postgres, rule 3): measured from a snapshot's xmax, in either direction.

/** `xmax` of a snapshot taken at about the same time; the difference is read as a signed 32-bit number. */
export function fullXid(xid: number, xmax: bigint): bigint {
  return xmax + BigInt(((xid - Number(xmax & 0xffff_ffffn)) | 0) as number);
}

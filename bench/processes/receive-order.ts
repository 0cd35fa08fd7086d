// Owns what the receiving process is told and what it tells.

export type ServerAddress = {
  readonly port: number;
  readonly path: string;
  /** Sent as a bearer token on the upgrade. */
  readonly token?: string | undefined;
  /** A token of an ordinary user. */
  readonly userToken?: string | undefined;
  /** A frame sent behind the upgrade, answered by one of type `subscribed`; none where nothing is asked. */
  readonly subscribe?: string | undefined;
};

export type ConnectOrder = ServerAddress & { readonly count: number };

export type ExpectOrder = {
  /** Messages that every socket has to get from now on. */
  readonly messages: number;
  /** Whether to note when which row came where: costs the receiver time that a burst has no use for. */
  readonly isTimed: boolean;
};

export type Received = {
  /** When the last socket had its last message, by the shared clock. */
  readonly doneAt: number;
  /** `n` of the row and arrival by the shared clock, in turns, of all sockets; empty unless timed. */
  readonly arrivals: Float64Array;
};

// Owns a configured channel as the API shows it, and what may be set of one.

export type Channel = {
  readonly id: string;
  readonly pattern: string;
  readonly description: string | null;
  readonly webhookUrls: readonly string[] | null;
  readonly enabled: boolean;
  readonly createdAt: string;
  readonly updatedAt: string;
  /** Null: inherited from the next less specific match. */
  readonly persist: boolean | null;
  readonly retentionDays: number | null;
};

/** Null resets; what is left out stays, or has its default. */
export type ChannelFields = {
  readonly pattern?: string | undefined;
  readonly description?: string | null | undefined;
  readonly webhookUrls?: readonly string[] | null | undefined;
  readonly enabled?: boolean | undefined;
  readonly persist?: boolean | null | undefined;
  readonly retentionDays?: number | null | undefined;
};

export type NewChannel = ChannelFields & { readonly pattern: string };

export type ChannelRefusal = {
  readonly code: 'bad_name' | 'bad_request' | 'not_found' | 'conflict';
  readonly message: string;
};

export type ChannelResult =
  | { readonly ok: true; readonly channel: Channel }
  | { readonly ok: false; readonly refusal: ChannelRefusal };

export const NO_SUCH_CHANNEL: ChannelResult = {
  ok: false,
  refusal: { code: 'not_found', message: 'There is no channel with this id' },
};

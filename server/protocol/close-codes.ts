// Owns the WebSocket close codes and what a client does about each. Numbers are the contract, reasons are
// for people (at most 123 bytes: RFC 6455, section 5.5).

export type ClientReaction = 'resume' | 'resume_later' | 'new_token' | 'stop';

export const CLOSE_CODES = {
  badFrames: { code: 4400, reason: 'bad frames', reaction: 'stop' },
  notAuthenticated: { code: 4401, reason: 'not authenticated in time', reaction: 'new_token' },
  tokenExpired: { code: 4403, reason: 'token expired or revoked', reaction: 'new_token' },
  noPong: { code: 4408, reason: 'no pong', reaction: 'resume' },
  frameTooLarge: { code: 4413, reason: 'frame too large', reaction: 'stop' },
  tooManyFrames: { code: 4429, reason: 'too many frames', reaction: 'resume_later' },
  readerTooSlow: { code: 4490, reason: 'reader too slow', reaction: 'resume' },
  restarting: { code: 1012, reason: 'restarting', reaction: 'resume' },
} as const satisfies Record<string, { code: number; reason: string; reaction: ClientReaction }>;

export type CloseReason = keyof typeof CLOSE_CODES;

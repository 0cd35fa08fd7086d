// Owns which names of channels and events nobody may publish to, as the CHECK constraints of realtime.messages
// say it; case does not matter.

const CHANNELS = /^(db:|presence:|realtime:|system$)/i;
const EVENTS = /^(presence:|realtime:|pusher:|pusher_internal:|phx_|(system|error|connect|disconnect)$)/i;

export function isReservedChannel(name: string): boolean {
  return CHANNELS.test(name);
}

export function isReservedEvent(name: string): boolean {
  return EVENTS.test(name);
}

// Owns what the torture asks of its subscribers, whichever way they speak.

import type { Trail } from './torture-trail.ts';

export interface Subscriber {
  readonly trails: readonly Trail[];
  /** Behaves from now on: no drops and no pauses of its own any more. */
  calm(): void;
  /** Ends for good. */
  stop(): Promise<void>;
}

/** Time as it is given to what waits, so that tests own it. */

export type TimerId = number;

export interface Clock {
  /** Milliseconds since the Unix epoch. */
  now(): number;
  setTimeout(callback: () => void, milliseconds: number): TimerId;
  clearTimeout(timer: TimerId): void;
}

/** The browser's own clock. */
export const browserClock: Clock = {
  now: () => Date.now(),
  setTimeout: (callback, milliseconds) => window.setTimeout(callback, milliseconds),
  clearTimeout: (timer) => {
    window.clearTimeout(timer);
  },
};

/**
 * A wait before the next try, in milliseconds, uniform between 0 and a bound that doubles with every failure, so that
 * clients who lost the same relay do not come back together.
 *
 * Source: <https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/>
 */
export function fullJitter(failures: number, base: number, cap: number, random: () => number): number {
  return random() * Math.min(cap, base * 2 ** Math.min(failures, 30));
}

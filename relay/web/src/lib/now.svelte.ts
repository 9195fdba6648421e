/** The time of day as state, for ages: coarse, and only while something shows it. */
import { createSubscriber } from 'svelte/reactivity';

const STEP_MS = 1_000;

class Now {
  #subscribe = createSubscriber((update) => {
    const timer = window.setInterval(update, STEP_MS);
    return () => {
      window.clearInterval(timer);
    };
  });

  /** Milliseconds since the Unix epoch. */
  get current(): number {
    this.#subscribe();
    return Date.now();
  }
}

export const now = new Now();

/** Streams in a browser: open while somebody can see what they bring. */
import type { EventStream } from './event-stream';
import { browserClock } from './timing';

/** What streams need of the browser. */
export const browserStreams = {
  fetch: (input: RequestInfo | URL, init?: RequestInit) => fetch(input, init),
  clock: browserClock,
  random: Math.random,
};

/** Opens a stream now and whenever the page can be seen again. Returns what closes it for good. */
export function keepOpenWhileVisible(stream: EventStream): () => void {
  // Browsers allow six connections to a relay that speaks HTTP/1.1: hidden tabs must not hold them.
  const follow = () => {
    if (document.hidden) stream.close();
    else stream.open();
  };
  const retry = () => {
    if (!document.hidden) stream.open();
  };
  document.addEventListener('visibilitychange', follow);
  window.addEventListener('online', retry);
  follow();
  return () => {
    document.removeEventListener('visibilitychange', follow);
    window.removeEventListener('online', retry);
    stream.close();
  };
}

/** Waiting for what is not announced. */

const PAUSE_MS = 50;

/** Asks again and again until there is an answer that is not `null`; fails after the deadline with what was waited for. */
export async function eventually<T>(
  what: string,
  ask: () => Promise<T | null> | T | null,
  deadlineMs = 30_000,
): Promise<T> {
  const end = Date.now() + deadlineMs;
  for (;;) {
    const answer = await ask();
    if (answer !== null) return answer;
    if (Date.now() > end) throw new Error(`not within ${deadlineMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
}

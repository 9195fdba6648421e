/** Lengths of time as people write them in rules: `8h`, `1h 30m`, `2d`. Pure. */

const UNITS = [
  ['d', 86_400],
  ['h', 3_600],
  ['m', 60],
  ['s', 1],
] as const;

/** The longest that the relay takes. */
export const MAX_SECONDS = 31 * 86_400;

/** What is said about a text that is no length of time. */
export const DURATION_HINT = 'Write a length of time such as 30m, 8h or 1h 30m, at most 31d.';

/** Seconds as a text; exactly, so that nothing changes by being edited. */
export function formatDuration(seconds: number): string {
  let rest = seconds;
  const parts: string[] = [];
  for (const [name, size] of UNITS) {
    const whole = Math.floor(rest / size);
    rest -= whole * size;
    if (whole > 0) parts.push(`${whole}${name}`);
  }
  return parts.length === 0 ? '0s' : parts.join(' ');
}

/** The seconds that a text says; `null` if it says none that the relay takes. */
export function parseDuration(text: string): number | null {
  const trimmed = text.trim().toLowerCase();
  if (!/^(\d{1,7}\s*[dhms]\s*)+$/.test(trimmed)) return null;
  let seconds = 0;
  for (const [, number, name] of trimmed.matchAll(/(\d+)\s*([dhms])/g)) {
    const size = UNITS.find(([unit]) => unit === name)?.[1] ?? 0;
    seconds += Number(number) * size;
  }
  return seconds >= 1 && seconds <= MAX_SECONDS ? seconds : null;
}

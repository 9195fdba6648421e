/** Places on a replay's time line, and times as people read them. Pure. */

/** A place to jump to: a command, or a hit of a search. */
export interface Mark {
  readonly atMs: number;
  readonly label: string;
}

/** How long after a mark going back still means the one before, not this one again. */
const BACK_GRACE_MS = 1_000;

/** The first mark behind a position, or `null`. Marks are in the order of time. */
export function nextMark<M extends Mark>(marks: readonly M[], positionMs: number): M | null {
  return marks.find((mark) => mark.atMs > positionMs) ?? null;
}

/** The last mark before a position, or `null`. */
export function previousMark<M extends Mark>(marks: readonly M[], positionMs: number): M | null {
  return marks.findLast((mark) => mark.atMs < Math.max(1, positionMs - BACK_GRACE_MS)) ?? null;
}

/** The index of the mark whose time a position is in; -1 before the first. */
export function currentMark(marks: readonly Mark[], positionMs: number): number {
  return marks.findLastIndex((mark) => mark.atMs <= positionMs);
}

/** `4:05`, or `1:04:05` from an hour on. */
export function formatTime(milliseconds: number): string {
  const seconds = Math.floor(Math.max(0, milliseconds) / 1_000);
  const two = (value: number) => String(value).padStart(2, '0');
  const [hours, minutes, rest] = [Math.floor(seconds / 3_600), Math.floor(seconds / 60) % 60, seconds % 60];
  return hours > 0 ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`;
}

/** Where a time stands on the time line, from 0 to 100. */
export function percent(atMs: number, durationMs: number): number {
  return durationMs <= 0 ? 0 : Math.min(100, Math.max(0, (atMs / durationMs) * 100));
}

/**
 * Marks thinned out for drawing: of those that would be drawn on top of each other, the first. `slots` is how many can be
 * told apart.
 */
export function thinned<M extends Mark>(marks: readonly M[], durationMs: number, slots: number): M[] {
  const taken = new Set<number>();
  return marks.filter((mark) => {
    const slot = Math.round((percent(mark.atMs, durationMs) / 100) * slots);
    return !taken.has(slot) && taken.add(slot);
  });
}

/** Text with its control characters made visible, on one line. */
export function visibleText(text: string): string {
  // eslint-disable-next-line no-control-regex -- control characters are what this is about
  return text.replace(/[\x00-\x1f\x7f]/g, (character) =>
    character === '\n'
      ? '⏎ '
      : character === '\x7f'
        ? '␡'
        : String.fromCodePoint(0x2400 + (character.codePointAt(0) ?? 0)),
  );
}

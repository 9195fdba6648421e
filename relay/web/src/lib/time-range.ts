/** A stretch of time as filters use it: nothing, the last hours or days, or exact ends. Pure. */

const HOUR_MS = 3_600_000;

/** The stretches that are one click away. */
export const PRESETS = {
  '1h': { text: 'Last hour', milliseconds: HOUR_MS },
  '24h': { text: 'Last 24 hours', milliseconds: 24 * HOUR_MS },
  '7d': { text: 'Last 7 days', milliseconds: 7 * 24 * HOUR_MS },
  '30d': { text: 'Last 30 days', milliseconds: 30 * 24 * HOUR_MS },
} as const;

export type Preset = keyof typeof PRESETS;

/** Times are milliseconds since the Unix epoch. */
export type TimeRange =
  | { readonly kind: 'any' }
  | { readonly kind: 'last'; readonly preset: Preset }
  | { readonly kind: 'between'; readonly from: number | null; readonly to: number | null };

export const ANY_TIME: TimeRange = { kind: 'any' };

export function isPreset(text: string): text is Preset {
  return Object.hasOwn(PRESETS, text);
}

/** Reads a range from an address; what makes no sense there means any time. */
export function readTimeRange(query: URLSearchParams): TimeRange {
  const last = query.get('last');
  if (last !== null && isPreset(last)) return { kind: 'last', preset: last };
  const [from, to] = [readTime(query.get('from')), readTime(query.get('to'))];
  return from === null && to === null ? ANY_TIME : { kind: 'between', from, to };
}

/** Writes a range into an address, relative where it is relative: the address means the same tomorrow. */
export function writeTimeRange(range: TimeRange, query: URLSearchParams): void {
  if (range.kind === 'last') query.set('last', range.preset);
  if (range.kind === 'between') writeEnds(range, query);
}

/** Writes what a range means now, as the API takes it. */
export function writeEndsOf(range: TimeRange, now: number, query: URLSearchParams): void {
  if (range.kind === 'last') writeEnds({ from: now - PRESETS[range.preset].milliseconds, to: null }, query);
  if (range.kind === 'between') writeEnds(range, query);
}

/** What is wrong with a range, as a sentence; `null` when nothing is. */
export function rangeProblem(range: TimeRange): string | null {
  const isBackwards = range.kind === 'between' && range.from !== null && range.to !== null && range.from > range.to;
  return isBackwards ? 'The end is before the beginning. Swap the two times.' : null;
}

/** A time as `<input type="datetime-local">` wants it: local, to the second. */
export function toLocalInput(time: number | null): string {
  if (time === null) return '';
  const local = new Date(time - new Date(time).getTimezoneOffset() * 60_000);
  return local.toISOString().slice(0, 19);
}

/** The time that such an input holds; `null` while it is incomplete. */
export function fromLocalInput(text: string): number | null {
  return readTime(text);
}

function writeEnds(ends: { readonly from: number | null; readonly to: number | null }, query: URLSearchParams): void {
  if (ends.from !== null) query.set('from', new Date(ends.from).toISOString());
  if (ends.to !== null) query.set('to', new Date(ends.to).toISOString());
}

function readTime(text: string | null): number | null {
  const time = text === null || text === '' ? NaN : Date.parse(text);
  return Number.isNaN(time) ? null : time;
}

/** A recording's events, as the relay hands out its segments: asciicast v3 event lines with absolute times. Pure. */
import type { TerminalSize } from '../protocol';

interface At {
  /** Milliseconds since the recording began. */
  readonly atMs: number;
}

export type ReplayEvent =
  | (At & { readonly kind: 'output'; readonly text: string })
  | (At & { readonly kind: 'resize'; readonly size: TerminalSize })
  /** A marker, the exit, or what a newer relay writes: it takes its time and draws nothing. */
  | (At & { readonly kind: 'other' });

/** The events of a segment's text. Lines that are none are left out: what can be shown is shown. */
export function parseSegment(text: string): ReplayEvent[] {
  return text.split('\n').flatMap((line) => parseEvent(line) ?? []);
}

function parseEvent(line: string): ReplayEvent | null {
  if (!line.startsWith('[')) return null;
  let event: unknown;
  try {
    event = JSON.parse(line);
  } catch {
    return null;
  }
  if (!Array.isArray(event)) return null;
  const [seconds, code, data] = event as unknown[];
  if (typeof seconds !== 'number' || !Number.isFinite(seconds) || typeof data !== 'string') return null;
  const atMs = Math.max(0, Math.round(seconds * 1_000));
  if (code === 'o') return { kind: 'output', atMs, text: data };
  const size = code === 'r' ? parseSize(data) : null;
  return size === null ? { kind: 'other', atMs } : { kind: 'resize', atMs, size };
}

function parseSize(text: string): TerminalSize | null {
  const match = /^(\d{1,4})x(\d{1,4})$/.exec(text);
  if (match === null) return null;
  const [columns, rows] = [Number(match[1]), Number(match[2])];
  return columns > 0 && rows > 0 ? { columns, rows } : null;
}

/**
 * What is left to draw of output that nobody waits for any more: its end, and what changes how that looks. A terminal needs a
 * second for what a flood writes in a moment, and after Ctrl-C the prompt stands behind all of it. The relay does the same with
 * what it has not sent yet.
 */

/** As much of the end is drawn, or as many lines: more than any screen holds of a flood. */
export const KEPT_BYTES = 16 * 1024;
export const KEPT_LINES = 500;

/** Leaving out less is not worth a line that says so. */
export const LEAST_LEFT_OUT_BYTES = 8 * 1024;

/** Colours that are carried over; a flood with more changes than that is drawn whole. */
const MOST_STYLE_BYTES = 4 * 1024;

const LINE_FEED = 0x0a;

/** Text, and the control characters that only move within it: line feed, carriage return, tab, backspace, bell. */
// eslint-disable-next-line no-control-regex -- control characters are what this is about
const PLAIN = /^[^\x00-\x06\x0b\x0c\x0e-\x1f\x7f-\x9f]*$/;

/** A change of colours or weight. Everything else that begins with an escape may do anything. */
// eslint-disable-next-line no-control-regex -- control characters are what this is about
const STYLE = /\x1b\[[\d;:]*m/g;

/** Erases within a line. */
// eslint-disable-next-line no-control-regex -- control characters are what this is about
const ERASE_LINE = /\x1b\[\d?K/g;

/**
 * The same output with its middle left out, and a line that says so; `null` where it is short, or where anything in it but
 * text and colours could change what the terminal does.
 */
export function shortened(bytes: Uint8Array): Uint8Array | null {
  // Lines begin and end whole: a sequence or a character that was begun before is finished in the first one.
  const from = bytes.indexOf(LINE_FEED) + 1;
  const to = beginOfEnd(bytes);
  if (from === 0 || to - from < LEAST_LEFT_OUT_BYTES) return null;
  const middle = new TextDecoder('latin1').decode(bytes.subarray(from, to));
  const style = (middle.match(STYLE) ?? []).join('');
  const text = middle.replaceAll(STYLE, '').replaceAll(ERASE_LINE, '');
  if (style.length > MOST_STYLE_BYTES || !PLAIN.test(text.replaceAll(/[\x80-\xff]/g, ''))) return null;
  const notice = `… ${String(Math.round((to - from) / 1024))} KiB are not drawn; the recording has them …\r\n`;
  return joined([bytes.subarray(0, from), new TextEncoder().encode(notice + style), bytes.subarray(to)]);
}

/** Where the end begins that is drawn: behind a line feed; 0 where there is none. */
function beginOfEnd(bytes: Uint8Array): number {
  const least = Math.max(bytes.length - KEPT_BYTES, 0);
  let at = bytes.lastIndexOf(LINE_FEED);
  for (let lines = 0; lines < KEPT_LINES && at >= least; lines++)
    at = at > 0 ? bytes.lastIndexOf(LINE_FEED, at - 1) : -1;
  return at < least ? bytes.indexOf(LINE_FEED, least) + 1 : at + 1;
}

/** All of these, one after the other. */
export function joined(parts: readonly Uint8Array[]): Uint8Array {
  const [first, ...others] = parts;
  if (first !== undefined && others.length === 0) return first;
  const all = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

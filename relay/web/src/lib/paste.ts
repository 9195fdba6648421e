/** What is done to a text before it is pasted into a terminal. Pure. */

/** A text that may be pasted. */
export interface Paste {
  readonly text: string;
  readonly lines: number;
}

/**
 * Drops control characters but tabs and line ends: an escape in a pasted text could end a bracketed paste early, and what
 * follows would be run as if typed.
 */
export function preparePaste(text: string): Paste {
  // eslint-disable-next-line no-control-regex -- control characters are what this is about
  const clean = text.replace(/[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]/g, '');
  return { text: clean, lines: clean.replace(/(\r\n|\n|\r)$/, '').split(/\r\n|\n|\r/).length };
}

/** Untrusted text, cut so that what a terminal or a browser would hide or obey is seen instead. Pure. */

export interface TextPart {
  readonly kind: 'text' | 'control' | 'redacted';
  readonly text: string;
}

/**
 * C0 and C1 controls, DEL, line and paragraph separators, everything that turns the direction of writing or takes no
 * room, and tags: they would hide what was typed, or show it as something else.
 */
const HIDDEN =
  // eslint-disable-next-line no-control-regex -- these are what is looked for
  /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}]/u;

/** What the relay writes in place of a secret. */
const REDACTED = /\[redacted(?:[^\]\n]{0,40})?\]/;

const SHORT_SIGNS: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' };

const SPECIAL = new RegExp(`${REDACTED.source}|${HIDDEN.source}`, 'gu');

/** Cuts a text into what is shown as it is, and what is shown by a sign. */
export function visibleParts(text: string): TextPart[] {
  const parts: TextPart[] = [];
  let end = 0;
  for (const match of text.matchAll(SPECIAL)) {
    if (match.index > end) parts.push({ kind: 'text', text: text.slice(end, match.index) });
    const [found] = match;
    parts.push(HIDDEN.test(found) ? { kind: 'control', text: signOf(found) } : { kind: 'redacted', text: found });
    end = match.index + found.length;
  }
  if (end < text.length) parts.push({ kind: 'text', text: text.slice(end) });
  return parts;
}

/** The same as one text, for places that hold no marks. */
export function visibleText(text: string): string {
  return visibleParts(text)
    .map((part) => part.text)
    .join('');
}

/** JSON for people: indented, and with nothing hidden in its texts. */
export function visibleJson(value: unknown): string {
  return JSON.stringify(value, null, 2).split('\n').map(visibleText).join('\n');
}

/** A character as programmers write it. Unicode's pictures of control characters are in few fonts. */
function signOf(character: string): string {
  const code = character.codePointAt(0) ?? 0;
  const short = SHORT_SIGNS[character];
  if (short !== undefined) return short;
  return code <= 0xff ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u{${code.toString(16)}}`;
}

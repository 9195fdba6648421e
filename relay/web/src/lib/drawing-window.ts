/**
 * How much output may be under way to a terminal: what it draws within a moment. All of that still appears after Ctrl-C, so
 * a slow terminal must ask for little, and a fast one, perhaps far away, for much.
 */

/** No terminal is so fast that it needs more: what the relay gives at most. */
export const LARGEST_WINDOW_BYTES = 256 * 1024;

/** A screen drawn anew fits in it. */
export const SMALLEST_WINDOW_BYTES = 32 * 1024;

/** What a terminal gets from the relay that has not asked for another. */
export const FIRST_WINDOW_BYTES = 64 * 1024;

/** The moment. */
const WORTH_MS = 100;

/** Drawing is judged after so much time … */
const JUDGED_AFTER_MS = 50;

/** … or so much output. A keystroke's echo says nothing. */
const JUDGED_AFTER_BYTES = 16 * 1024;

export class DrawingWindow {
  #bytes = FIRST_WINDOW_BYTES;
  #busySince: number | null = null;
  #drawn = 0;

  get bytes(): number {
    return this.#bytes;
  }

  /** The terminal has something to draw from now on. */
  busy(nowMs: number): void {
    this.#busySince ??= nowMs;
  }

  /** It has drawn so much, and has more to draw or not. Returns the window where it is another one than before. */
  drawn(bytes: number, rest: 'some' | 'none', nowMs: number): number | null {
    if (this.#busySince === null) return null;
    this.#drawn += bytes;
    const elapsedMs = nowMs - this.#busySince;
    const judged = this.#drawn >= JUDGED_AFTER_BYTES && (elapsedMs >= JUDGED_AFTER_MS || rest === 'none');
    const before = this.#bytes;
    if (judged) this.#bytes = windowFor((this.#drawn / Math.max(elapsedMs, 1)) * WORTH_MS);
    if (judged || rest === 'none') {
      this.#busySince = rest === 'none' ? null : nowMs;
      this.#drawn = 0;
    }
    return this.#bytes === before ? null : this.#bytes;
  }
}

/** Powers of two, so that small changes of pace cause no messages. */
function windowFor(bytes: number): number {
  const power = 2 ** Math.floor(Math.log2(Math.max(bytes, 1)));
  return Math.min(Math.max(power, SMALLEST_WINDOW_BYTES), LARGEST_WINDOW_BYTES);
}

/** Writes output into a terminal emulator in order, and keeps a replayed screen from answering to the shell. */
import type { OutputSink, Urgency } from './session-client';
import { joined, shortened } from './shortened';

/** The part of xterm.js that is used, the same in the browser and headless. */
export interface Emulator {
  write(data: Uint8Array | string, done?: () => void): void;
}

/** Full reset (RIS), as a sequence so that it takes effect after what was written before it. */
const RESET = '\x1bc';

/**
 * What an emulator answers by itself: device attributes, status and cursor reports, mode reports, focus, window reports,
 * and OSC or DCS answers. Keys never look like this, but for modified F3, which nobody presses within those milliseconds.
 */
// eslint-disable-next-line no-control-regex -- control characters are what this is about
const ANSWER = /^\x1b(?:\[[?>]?[\d;]*(?:[cnRt]|\$y)|\[[IO]$|[P\]])/;

/**
 * Most that is handed over at once. An emulator draws between two writes: in a flood, many small writes make it draw more
 * than it reads, and what waits stands between Ctrl-C and the prompt.
 */
const LARGEST_WRITE_BYTES = 64 * 1024;

/** Output that waits for the emulator to be done with what it has. */
interface Waiting {
  readonly bytes: Uint8Array;
  readonly urgency: Urgency;
  readonly rendered: () => void;
}

export class TerminalOutput implements OutputSink {
  readonly #emulator: Emulator;
  #restoring = 0;
  #isHeld = false;
  #writing = 0;
  #waiting: Waiting[] = [];

  constructor(emulator: Emulator) {
    this.#emulator = emulator;
  }

  write(bytes: Uint8Array, urgency: Urgency, rendered: () => void): void {
    this.#waiting.push({ bytes, urgency, rendered });
    if (this.#writing === 0) this.#writeWaiting();
  }

  restore(bytes: Uint8Array, rendered: () => void): void {
    this.#isHeld = false;
    while (this.#waiting.length > 0) this.#writeWaiting();
    this.#restoring += 1;
    this.#emulator.write(RESET);
    this.#emulator.write(bytes, () => {
      this.#restoring -= 1;
      rendered();
    });
  }

  hold(): void {
    this.#isHeld = true;
  }

  release(): void {
    this.#isHeld = false;
    if (this.#writing === 0) this.#writeWaiting();
  }

  /** Whether data from the emulator is to be sent: not when it answers a question that was asked long ago. */
  admits(data: string): boolean {
    return this.#restoring === 0 || !ANSWER.test(data);
  }

  #writeWaiting(): void {
    if (this.#isHeld) return;
    const batch = this.#takeOvertaken() ?? this.#take();
    if (batch.length === 0) return;
    this.#writing += 1;
    this.#emulator.write(joined(batch.map(({ bytes }) => bytes)), () => {
      this.#writing -= 1;
      // The last one's word covers the others: they are on the screen at the same moment.
      batch.at(-1)?.rendered();
      if (this.#writing === 0) this.#writeWaiting();
    });
  }

  /** What was overtaken by an interrupt, shortened to its end; `null` where there is nothing to shorten. */
  #takeOvertaken(): Waiting[] | null {
    const count = this.#waiting.findLastIndex(({ urgency }) => urgency === 'overtaken') + 1;
    const last = this.#waiting[count - 1];
    if (last === undefined) return null;
    const bytes = shortened(joined(this.#waiting.slice(0, count).map((waiting) => waiting.bytes)));
    if (bytes === null) return null;
    this.#waiting.splice(0, count);
    return [{ ...last, bytes }];
  }

  #take(): Waiting[] {
    let bytes = 0;
    let count = 0;
    for (const waiting of this.#waiting) {
      bytes += waiting.bytes.length;
      if (count > 0 && bytes > LARGEST_WRITE_BYTES) break;
      count += 1;
    }
    return this.#waiting.splice(0, count);
  }
}

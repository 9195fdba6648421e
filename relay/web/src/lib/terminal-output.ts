/** Writes output into a terminal emulator in order, and keeps a replayed screen from answering to the shell. */
import type { OutputSink } from './session-client';

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

export class TerminalOutput implements OutputSink {
  readonly #emulator: Emulator;
  #restoring = 0;

  constructor(emulator: Emulator) {
    this.#emulator = emulator;
  }

  write(bytes: Uint8Array, rendered: () => void): void {
    this.#emulator.write(bytes, rendered);
  }

  restore(bytes: Uint8Array, rendered: () => void): void {
    this.#restoring += 1;
    this.#emulator.write(RESET);
    this.#emulator.write(bytes, () => {
      this.#restoring -= 1;
      rendered();
    });
  }

  /** Whether data from the emulator is to be sent: not when it answers a question that was asked long ago. */
  admits(data: string): boolean {
    return this.#restoring === 0 || !ANSWER.test(data);
  }
}

/**
 * What happens to output after Ctrl-C. Between the program and the screen there are megabytes of a flood, in sockets that
 * nobody can empty but by reading, and a terminal needs seconds to draw that, a slow one many. So from the key on nothing is drawn
 * for a moment. Once the program has the interrupt, the relay fetches everything that it had written and sends the end of it, and
 * what had been sent by then is drawn together, so that its end is enough.
 */
import type { OutputSink, Urgency } from './session-client';
import type { Clock, TimerId } from './timing';

/** How much output may count as sent before the relay knew of the interrupt: a window, and what follows at once. */
export const HURRY_BYTES = 272 * 1024;

/** What comes so long after the program has the interrupt is not what it had written before. */
export const HURRY_MS = 3_000;

/** The screen stands still no longer than this at a time, whatever comes. */
export const LONGEST_HOLD_MS = 300;

/** When nothing came for so long, everything has come: some round trips to an agent that is near. */
export const QUIET_MS = 60;

/** Less than this is no flood, but an echo and a prompt: it is drawn at once. */
export const FLOOD_BYTES = 4 * 1024;

/** Ctrl-C, Ctrl-\ and Ctrl-Z: what stops a program. */
const KEYS: readonly number[] = [0x03, 0x1c, 0x1a];

/** Whether this is what a person presses to stop a program. */
export function isInterrupt(input: Uint8Array): boolean {
  const [key, ...others] = input.subarray(0, 2);
  return key !== undefined && others.length === 0 && KEYS.includes(key);
}

export class Interrupt {
  readonly #sink: OutputSink;
  readonly #clock: Clock;
  readonly #onReleased: () => void;
  /** Where the input ends that interrupts the program, until the program has it. */
  #inputEnd: number | null = null;
  /** Output below `#to` that comes before `#until` was overtaken. */
  #to = 0;
  #until = 0;
  #hold: { readonly timer: TimerId; readonly until: number } | null = null;

  constructor(sink: OutputSink, clock: Clock, onReleased: () => void) {
    this.#sink = sink;
    this.#clock = clock;
    this.#onReleased = onReleased;
  }

  /** Whether everything that is on its way is to come at once. */
  get isFetching(): boolean {
    return this.#hold !== null && this.#clock.now() < this.#until;
  }

  /** The key was pressed; the input ends with it here. */
  press(inputEnd: number): void {
    this.#inputEnd = inputEnd;
    this.#holdFor(LONGEST_HOLD_MS);
  }

  /** Something else was typed: output from here on is the answer to that. */
  answer(received: number): void {
    this.#to = Math.min(this.#to, received);
    this.release();
  }

  /** The program has the input below this offset. Not earlier: while it goes on writing, whatever is fetched comes on top. */
  applied(inputOffset: number, received: number): void {
    if (this.#inputEnd === null || inputOffset < this.#inputEnd) return;
    this.#inputEnd = null;
    this.#to = received + HURRY_BYTES;
    this.#until = this.#clock.now() + HURRY_MS;
    if (this.#hold !== null) this.#holdFor(QUIET_MS);
  }

  /** Output has come up to `end`; so much is not drawn, this included. */
  arrived(end: number, undrawn: number): Urgency {
    const urgency = end <= this.#to && this.#clock.now() < this.#until ? 'overtaken' : 'wanted';
    if (undrawn < FLOOD_BYTES) this.release();
    else if (urgency === 'overtaken') this.#holdFor(QUIET_MS);
    else if (this.#inputEnd === null) this.release();
    return urgency;
  }

  /** Output that was received up to here need not be drawn, as far as the answer goes, for the relay to send more. */
  overtakenOf(received: number): number {
    return Math.min(received, this.#to);
  }

  /** What is held is drawn. */
  release(): void {
    if (this.#hold === null) return;
    this.#clock.clearTimeout(this.#hold.timer);
    this.#hold = null;
    this.#sink.release();
    this.#onReleased();
  }

  #holdFor(milliseconds: number): void {
    const now = this.#clock.now();
    if (this.#hold === null) this.#sink.hold();
    else this.#clock.clearTimeout(this.#hold.timer);
    const until = this.#hold?.until ?? now + LONGEST_HOLD_MS;
    const timer = this.#clock.setTimeout(
      () => {
        this.release();
      },
      Math.min(milliseconds, until - now),
    );
    this.#hold = { timer, until };
  }
}

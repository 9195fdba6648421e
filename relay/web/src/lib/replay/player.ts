/**
 * Plays a recording: knows what time it is in it, takes events in their order and gives them to a screen. No browser here;
 * time is given.
 */
import type { ApiError, ApiResult } from '../api';
import type { TerminalSize } from '../protocol';
import type { Clock, TimerId } from '../timing';
import type { ReplayEvent } from './cast';
import type { Speed } from './keys';
import type { Library } from './library';
import type { Screen, Segment } from './replay-api';

/** Silence that is skipped where idle time is, and what is left of it on either side. */
const IDLE_MS = 2_000;
const IDLE_REST_MS = 400;

/** How often the position is told while nothing happens. */
const TICK_MS = 100;

/** Text that is written at a time: more would keep the page from answering. */
const WRITE_CHARACTERS = 128 * 1024;

/** What the recording is drawn on. */
export interface ReplaySink {
  /** Begins anew with an empty screen of this size. */
  reset(size: TerminalSize): void;
  resize(size: TerminalSize): void;
  /** Draws, and says when it is drawn. */
  write(data: Uint8Array | string): Promise<void>;
}

export interface PlayerState {
  /** What the person wants: it also plays while it waits for data. */
  readonly isPlaying: boolean;
  readonly isWaiting: boolean;
  readonly isAtEnd: boolean;
  readonly positionMs: number;
  readonly durationMs: number;
  readonly error: ApiError | null;
}

export interface PlayerEnvironment {
  readonly clock: Clock;
  readonly library: Library;
  readonly screen: (atMs: number) => Promise<ApiResult<Screen>>;
  readonly sink: ReplaySink;
  readonly onState: (state: PlayerState) => void;
}

/** The extent of a recording; grows while it runs. */
export interface Extent {
  readonly durationMs: number;
  readonly segments: readonly Segment[];
}

export class Player {
  readonly #environment: PlayerEnvironment;
  #extent: Extent;
  #speed: Speed = 1;
  #skipsIdle = true;
  #isPlaying = false;
  #isWaiting = false;
  #isAtEnd = false;
  #error: ApiError | null = null;
  /** The position, as it was when the clock said so. */
  #positionMs = 0;
  #sinceMs: number;
  /** The event that comes next: which segment, and which event in it. */
  #segment = 0;
  #event = 0;
  #events: readonly ReplayEvent[] | null = null;
  /** When the last event was that is drawn; `null` while a jump is under way or after it failed. */
  #drawnMs: number | null = 0;
  #timer: TimerId | null = null;
  /** Grows with every jump: what an earlier one still waits for is void. */
  #generation = 0;

  constructor(extent: Extent, environment: PlayerEnvironment) {
    this.#extent = extent;
    this.#environment = environment;
    this.#sinceMs = environment.clock.now();
  }

  get state(): PlayerState {
    return {
      isPlaying: this.#isPlaying,
      isWaiting: this.#isWaiting,
      isAtEnd: this.#isAtEnd,
      positionMs: Math.min(this.#positionNow(), this.#extent.durationMs),
      durationMs: this.#extent.durationMs,
      error: this.#error,
    };
  }

  /** The recording has grown. */
  extend(extent: Extent): void {
    const hadEnded = this.#isAtEnd;
    const hasMore = extent.segments.length > this.#extent.segments.length;
    this.#extent = extent;
    if (hasMore && hadEnded) {
      this.#isAtEnd = false;
      this.#set(this.#positionMs);
    }
    this.#tell();
    if (hadEnded && hasMore && this.#isPlaying) void this.#run();
  }

  play(): void {
    if (this.#isPlaying && !this.#isAtEnd && this.#error === null) return;
    this.#rebase();
    this.#error = null;
    this.#isPlaying = true;
    if (this.#isAtEnd || this.#drawnMs === null) {
      if (!this.#isWaiting) void this.seek(this.#isAtEnd ? 0 : this.#positionMs);
      return;
    }
    this.#tell();
    if (!this.#isWaiting) void this.#run();
  }

  pause(): void {
    this.#rebase();
    this.#isPlaying = false;
    this.#stopTimer();
    this.#tell();
  }

  toggle(): void {
    if (this.#isPlaying && !this.#isAtEnd && this.#error === null) this.pause();
    else this.play();
  }

  setSpeed(speed: Speed): void {
    this.#rebase();
    this.#speed = speed;
    this.#again();
  }

  setSkipsIdle(skips: boolean): void {
    this.#rebase();
    this.#skipsIdle = skips;
    this.#again();
  }

  /** Jumps. The last of several jumps wins. */
  async seek(atMs: number): Promise<void> {
    const target = Math.min(this.#extent.durationMs, Math.max(0, Math.round(atMs)));
    const generation = ++this.#generation;
    const from = this.#drawnMs;
    this.#stopTimer();
    this.#set(target);
    this.#isAtEnd = false;
    this.#error = null;
    this.#isWaiting = true;
    this.#tell();
    const isNear = from !== null && target >= from && target <= this.#nearMs();
    const isThere = isNear ? await this.#playTo(target, generation) : await this.#jumpTo(target, generation);
    if (generation !== this.#generation) return;
    this.#isWaiting = false;
    this.#set(target);
    if (isThere) await this.#run();
    else this.#tell();
  }

  dispose(): void {
    this.#generation += 1;
    this.#isPlaying = false;
    this.#stopTimer();
  }

  /** Up to when a jump forward is played instead of asking for a screen: what is at hand already, or nearly so. */
  #nearMs(): number {
    const { segments } = this.#extent;
    return (segments[this.#segment + 1] ?? segments[this.#segment])?.to_ms ?? 0;
  }

  #positionNow(): number {
    if (!this.#isPlaying || this.#isWaiting || this.#isAtEnd || this.#error !== null) return this.#positionMs;
    return this.#positionMs + (this.#environment.clock.now() - this.#sinceMs) * this.#speed;
  }

  #set(positionMs: number): void {
    this.#positionMs = positionMs;
    this.#sinceMs = this.#environment.clock.now();
  }

  #rebase(): void {
    this.#set(Math.min(this.#positionNow(), this.#extent.durationMs));
  }

  #again(): void {
    this.#stopTimer();
    this.#tell();
    if (this.#isPlaying && !this.#isWaiting) void this.#run();
  }

  #stopTimer(): void {
    if (this.#timer !== null) this.#environment.clock.clearTimeout(this.#timer);
    this.#timer = null;
  }

  #tell(): void {
    this.#environment.onState(this.state);
  }

  #fail(error: ApiError): void {
    this.#rebase();
    this.#error = error;
    this.#isWaiting = false;
    this.#stopTimer();
    this.#tell();
  }

  /** Draws what is due, then waits for what comes next. */
  async #run(): Promise<void> {
    const generation = ++this.#generation;
    this.#stopTimer();
    for (;;) {
      const position = this.#positionNow();
      const isDrawn = await this.#draw(position, generation);
      if (generation !== this.#generation) return;
      if (!isDrawn) return;
      const next = await this.#peek(generation);
      if (generation !== this.#generation) return;
      if (next === 'failed') return;
      if (next === 'end') {
        if (this.#positionNow() >= this.#extent.durationMs || (this.#skipsIdle && this.#isPlaying)) {
          this.#finish();
          return;
        }
      } else if (this.#isPlaying && this.#skipsIdle) this.#skipSilence(next.atMs);
      this.#tell();
      if (!this.#isPlaying) return;
      const dueMs = next === 'end' ? this.#extent.durationMs : next.atMs;
      const waitMs = (dueMs - this.#positionNow()) / this.#speed;
      if (waitMs > 0) {
        this.#timer = this.#environment.clock.setTimeout(() => void this.#run(), Math.min(TICK_MS, waitMs));
        return;
      }
    }
  }

  #finish(): void {
    this.#set(this.#extent.durationMs);
    this.#isAtEnd = true;
    this.#tell();
  }

  #skipSilence(nextMs: number): void {
    const quietSince = this.#drawnMs ?? 0;
    const position = this.#positionNow();
    if (nextMs - quietSince < IDLE_MS || position < quietSince + IDLE_REST_MS) return;
    if (nextMs - IDLE_REST_MS > position) this.#set(nextMs - IDLE_REST_MS);
  }

  /** Draws every event up to a position; `false` if it could not. */
  async #draw(positionMs: number, generation: number): Promise<boolean> {
    for (;;) {
      const next = await this.#peek(generation);
      if (generation !== this.#generation || next === 'failed') return false;
      if (next === 'end' || next.atMs > positionMs) return true;
      await this.#drawOne(next, positionMs);
      if (generation !== this.#generation) return false;
    }
  }

  /** Draws an event, together with the output that follows it and is due as well. */
  async #drawOne(event: ReplayEvent, positionMs: number): Promise<void> {
    const { sink } = this.#environment;
    this.#event += 1;
    this.#drawnMs = event.atMs;
    if (event.kind === 'resize') sink.resize(event.size);
    if (event.kind !== 'output') return;
    let { text } = event;
    for (let more = this.#events?.[this.#event]; more?.kind === 'output'; more = this.#events?.[this.#event]) {
      if (more.atMs > positionMs || text.length > WRITE_CHARACTERS) break;
      text += more.text;
      this.#drawnMs = more.atMs;
      this.#event += 1;
    }
    await sink.write(text);
  }

  /** The event that comes next. */
  async #peek(generation: number): Promise<ReplayEvent | 'end' | 'failed'> {
    for (;;) {
      const event = this.#events?.[this.#event];
      if (event !== undefined) return event;
      if (this.#events !== null) {
        this.#segment += 1;
        this.#event = 0;
        this.#events = null;
      }
      if (this.#segment >= this.#extent.segments.length) return 'end';
      const { library } = this.#environment;
      const loaded = await this.#waiting(library.segment(this.#indexOf(this.#segment)));
      if (generation !== this.#generation) return 'failed';
      if (!loaded.ok) {
        this.#fail(loaded.error);
        return 'failed';
      }
      this.#events = loaded.events;
      if (this.#segment + 1 < this.#extent.segments.length) void library.segment(this.#indexOf(this.#segment + 1));
    }
  }

  /** Stands still while something is awaited. */
  async #waiting<T>(work: Promise<T>): Promise<T> {
    const generation = this.#generation;
    this.#rebase();
    const wasWaiting = this.#isWaiting;
    this.#isWaiting = true;
    const result = await work;
    if (generation === this.#generation) {
      this.#isWaiting = wasWaiting;
      this.#sinceMs = this.#environment.clock.now();
    }
    return result;
  }

  #indexOf(place: number): number {
    return this.#extent.segments[place]?.index ?? place;
  }

  async #playTo(target: number, generation: number): Promise<boolean> {
    return this.#draw(target, generation);
  }

  async #jumpTo(target: number, generation: number): Promise<boolean> {
    this.#drawnMs = null;
    const result = await this.#environment.screen(target);
    if (generation !== this.#generation) return false;
    if (!result.ok) {
      this.#fail(result.error);
      return false;
    }
    const { columns, rows, data, next_segment: segment, next_event: event } = result.value;
    const { sink } = this.#environment;
    sink.reset({ columns, rows });
    await sink.write(Uint8Array.from(atob(data), (character) => character.charCodeAt(0)));
    if (generation !== this.#generation) return false;
    const place = this.#extent.segments.findIndex(({ index }) => index >= segment);
    this.#segment = place < 0 ? this.#extent.segments.length : place;
    this.#event = this.#indexOf(this.#segment) === segment ? event : 0;
    this.#events = null;
    const loaded = this.#segment < this.#extent.segments.length ? await this.#load(generation) : true;
    if (loaded) this.#drawnMs = target;
    return loaded;
  }

  /** Loads the segment that comes next, so that its events can be counted from where the screen ends. */
  async #load(generation: number): Promise<boolean> {
    const loaded = await this.#environment.library.segment(this.#indexOf(this.#segment));
    if (generation !== this.#generation) return false;
    if (!loaded.ok) {
      this.#fail(loaded.error);
      return false;
    }
    this.#events = loaded.events;
    return true;
  }
}

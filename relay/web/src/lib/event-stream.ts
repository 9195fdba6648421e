/**
 * Server-Sent Events over `fetch`: unlike `EventSource`, it tells why a stream was refused. Reconnects with growing waits.
 */
import { problemOf, transportError, type ApiError, isTransient } from './api';
import { fullJitter, type Clock, type TimerId } from './timing';

/** Three missed heartbeats: the connection is dead. */
export const STREAM_SILENCE_MS = 45_000;

const RETRY_BASE_MS = 500;
const RETRY_CAP_MS = 15_000;

/** One event of the stream. */
export interface StreamEvent {
  readonly name: string;
  readonly data: string;
}

/** Cuts a stream of text into events (WHATWG HTML, section 9.2.6), as much as the relay uses of it. Pure. */
export class EventParser {
  #rest = '';
  #name = '';
  #data: string[] = [];

  /** The events that are complete with this text. */
  push(text: string): StreamEvent[] {
    const lines = (this.#rest + text).split(/\r\n|\n|\r(?!$)/);
    this.#rest = lines.pop() ?? '';
    return lines.flatMap((line) => this.#line(line) ?? []);
  }

  #line(line: string): StreamEvent | null {
    if (line === '') return this.#dispatch();
    const colon = line.indexOf(':');
    const field = colon === -1 ? line : line.slice(0, colon);
    const value = colon === -1 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (field === 'event') this.#name = value;
    if (field === 'data') this.#data.push(value);
    return null;
  }

  #dispatch(): StreamEvent | null {
    const event = { name: this.#name || 'message', data: this.#data.join('\n') };
    const isEmpty = this.#data.length === 0;
    this.#name = '';
    this.#data = [];
    return isEmpty ? null : event;
  }
}

/** What a stream tells its reader. */
export interface StreamHandlers {
  /** A connection stands; what follows starts from the beginning. */
  readonly onOpen: () => void;
  /** Returns `stop` when nothing more is wanted. */
  readonly onEvent: (event: StreamEvent) => 'continue' | 'stop';
  /** The connection was lost or refused. Another try follows where that can help. */
  readonly onError: (error: ApiError) => void;
}

/** A stream that comes back by itself until it is closed or refused for good. */
export class EventStream {
  readonly #url: string;
  readonly #handlers: StreamHandlers;
  readonly #fetch: typeof fetch;
  readonly #clock: Clock;
  readonly #random: () => number;
  #abort: AbortController | null = null;
  #timer: TimerId | null = null;
  #failures = 0;

  constructor(url: string, handlers: StreamHandlers, fetcher: typeof fetch, clock: Clock, random: () => number) {
    this.#url = url;
    this.#handlers = handlers;
    this.#fetch = fetcher;
    this.#clock = clock;
    this.#random = random;
  }

  /** Connects now, also in the middle of a wait. */
  open(): void {
    this.close();
    const abort = new AbortController();
    this.#abort = abort;
    void this.#run(abort);
  }

  /** Ends the stream; it can be opened again. */
  close(): void {
    this.#stopTimer();
    this.#abort?.abort();
    this.#abort = null;
  }

  async #run(abort: AbortController): Promise<void> {
    const error = await this.#read(abort);
    if (error === null || this.#abort !== abort) return;
    this.#abort = null;
    this.#stopTimer();
    abort.abort();
    if (isTransient(error)) this.#retryLater();
    this.#handlers.onError(error);
  }

  /** Reads until the end: `null` when nobody wants more, else what went wrong. */
  async #read(abort: AbortController): Promise<ApiError | null> {
    try {
      this.#guardSilence(abort);
      const response = await this.#fetch(this.#url, {
        headers: { accept: 'text/event-stream' },
        credentials: 'same-origin',
        signal: abort.signal,
      });
      if (!response.ok) return await problemOf(response);
      if (this.#abort !== abort) return null;
      this.#handlers.onOpen();
      await this.#readBody(response, abort);
      return this.#abort === abort ? transportError(null) : null;
    } catch (error) {
      return transportError(error);
    }
  }

  async #readBody(response: Response, abort: AbortController): Promise<void> {
    const reader = response.body?.getReader();
    if (reader === undefined) return;
    const decoder = new TextDecoder();
    const parser = new EventParser();
    for (;;) {
      const { done, value } = await reader.read();
      if (done || this.#abort !== abort) return;
      this.#guardSilence(abort);
      this.#failures = 0;
      for (const event of parser.push(decoder.decode(value, { stream: true }))) {
        if (this.#handlers.onEvent(event) === 'stop') {
          this.close();
          return;
        }
      }
    }
  }

  #guardSilence(abort: AbortController): void {
    this.#stopTimer();
    this.#timer = this.#clock.setTimeout(() => {
      abort.abort(new DOMException('no heartbeat', 'TimeoutError'));
    }, STREAM_SILENCE_MS);
  }

  #retryLater(): void {
    const delay = fullJitter(this.#failures, RETRY_BASE_MS, RETRY_CAP_MS, this.#random);
    this.#failures += 1;
    this.#timer = this.#clock.setTimeout(() => {
      this.open();
    }, delay);
  }

  #stopTimer(): void {
    if (this.#timer !== null) this.#clock.clearTimeout(this.#timer);
    this.#timer = null;
  }
}

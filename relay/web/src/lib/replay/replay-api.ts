/** The relay's recordings, typed. Every call returns a result; none throws, and none waits for ever. */
import { problemOf, transportError, type ApiError, type ApiResult } from '../api';
import { array, boolean, count, nullable, object, oneOf, parseJson, string, type Parsed, type Parser } from '../parse';

/** Drawing a screen or searching plays the whole recording, for which the relay gives itself 20 s. */
const DEADLINE_MS = 40_000;

/** The header that carries a replay's token: no credential stands in an address. */
const TOKEN_HEADER = 'podlatch-replay';

/** Hits of one search; more would not be looked at. */
const MOST_HITS = 500;

const recording = object({
  state: oneOf('recording', 'complete', 'truncated', 'damaged', 'deleted'),
  columns: count,
  rows: count,
  duration_ms: count,
  bytes: count,
  markers: array(object({ at_ms: count, label: string })),
  segments: array(object({ index: count, from_ms: count, to_ms: count, bytes: count, sha256: string })),
  message: nullable(string),
});

const replay = object({ token: string, recording });

const screen = object({
  at_ms: count,
  columns: count,
  rows: count,
  data: string,
  next_segment: count,
  next_event: count,
});

const found = object({
  hits: array(object({ at_ms: count, row: count, text: string, start: count, end: count })),
  truncated: boolean,
});

export type Recording = Parsed<typeof recording>;
export type Segment = Recording['segments'][number];
export type Screen = Parsed<typeof screen>;
export type Found = Parsed<typeof found>;
export type Hit = Found['hits'][number];

export class ReplayApi {
  readonly #fetch: typeof fetch;
  readonly #base: string;
  #token: string | null = null;

  constructor(session: string, fetcher: typeof fetch) {
    this.#fetch = fetcher;
    this.#base = `/api/v1/sessions/${encodeURIComponent(session)}`;
  }

  /** The facts about the recording, which grow while it runs. */
  recording(): Promise<ApiResult<Recording>> {
    return this.#json(this.#request('GET', '/recording'), recording);
  }

  /** Opens a replay: from here on the recording's content may be read. Audited. */
  async open(): Promise<ApiResult<Recording>> {
    const result = await this.#json(this.#request('POST', '/replays'), replay);
    if (!result.ok) return result;
    this.#token = result.value.token;
    return { ok: true, value: result.value.recording };
  }

  /** A segment's event lines. */
  segment(index: number): Promise<ApiResult<string>> {
    return this.#renewed(
      () => this.#request('GET', `/recording/segments/${index}`),
      (response) => response.text(),
    );
  }

  /** What the screen looked like at a time. */
  screen(atMs: number): Promise<ApiResult<Screen>> {
    return this.#renewedJson(`/recording/screen?at_ms=${Math.max(0, Math.round(atMs))}`, screen);
  }

  /** Where a text appeared on the screen. */
  search(text: string, signal: AbortSignal): Promise<ApiResult<Found>> {
    return this.#renewedJson(`/recording/search?q=${encodeURIComponent(text)}&limit=${MOST_HITS}`, found, signal);
  }

  /** The whole recording as a file. Audited. */
  download(): Promise<ApiResult<Blob>> {
    return this.#answer(this.#request('GET', '/recording/cast', undefined, null), (response) => response.blob());
  }

  #renewedJson<T>(path: string, answer: Parser<T>, signal?: AbortSignal): Promise<ApiResult<T>> {
    return this.#renewed(
      () => this.#request('GET', path, signal),
      async (response) => parseJson(await response.text(), answer),
    );
  }

  /** Asks once more with a new token where the old one has run out in a page that stayed open. */
  async #renewed<T>(ask: () => Promise<Response>, read: (response: Response) => Promise<T>): Promise<ApiResult<T>> {
    const first = await this.#answer(ask(), read);
    if (first.ok || first.error.slug !== 'replay_over') return first;
    const opened = await this.open();
    return opened.ok ? this.#answer(ask(), read) : opened;
  }

  #json<T>(response: Promise<Response>, answer: Parser<T>): Promise<ApiResult<T>> {
    return this.#answer(response, async (known) => parseJson(await known.text(), answer));
  }

  async #answer<T>(response: Promise<Response>, read: (response: Response) => Promise<T>): Promise<ApiResult<T>> {
    try {
      const known = await response;
      if (!known.ok) return { ok: false, error: await problemOf(known) };
      return { ok: true, value: await read(known) };
    } catch (error) {
      return { ok: false, error: transportError(error) };
    }
  }

  /** `deadlineMs` is `null` for what takes as long as the network needs. */
  #request(
    method: 'GET' | 'POST',
    path: string,
    signal?: AbortSignal,
    deadlineMs: number | null = DEADLINE_MS,
  ): Promise<Response> {
    const signals = [signal ?? [], deadlineMs === null ? [] : AbortSignal.timeout(deadlineMs)].flat();
    return this.#fetch(this.#base + path, {
      method,
      credentials: 'same-origin',
      signal: AbortSignal.any(signals),
      headers: this.#token === null ? {} : { [TOKEN_HEADER]: this.#token },
    });
  }
}

/** Whether an answer says that this part of the recording cannot be had, now or later. */
export function isMissing(error: ApiError): boolean {
  return error.slug === 'recording_damaged' || error.slug === 'not_found' || error.slug === 'recording_gone';
}

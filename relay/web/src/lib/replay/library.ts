/** A recording's segments: loaded when they are needed, a few kept. */
import type { ApiError, ApiResult } from '../api';
import { parseSegment, type ReplayEvent } from './cast';
import { isMissing } from './replay-api';

/** Segments that are kept: the one that plays, its neighbours, and a few that were jumped between. */
const KEPT_SEGMENTS = 6;

/** A segment's events; none where the segment cannot be had. */
export type Loaded =
  | { readonly ok: true; readonly events: readonly ReplayEvent[] }
  /** Worth another try. */
  | { readonly ok: false; readonly error: ApiError };

export class Library {
  readonly #load: (index: number) => Promise<ApiResult<string>>;
  readonly #onMissing: (error: ApiError) => void;
  readonly #kept = new Map<number, Promise<Loaded>>();

  constructor(load: (index: number) => Promise<ApiResult<string>>, onMissing: (error: ApiError) => void) {
    this.#load = load;
    this.#onMissing = onMissing;
  }

  /** A segment's events. */
  segment(index: number): Promise<Loaded> {
    const kept = this.#kept.get(index);
    if (kept !== undefined) {
      // Put in front again: the one that was used last goes last.
      this.#kept.delete(index);
      this.#kept.set(index, kept);
      return kept;
    }
    const loading = this.#fetch(index);
    this.#kept.set(index, loading);
    void loading.then((loaded) => {
      if (!loaded.ok) this.#kept.delete(index);
    });
    while (this.#kept.size > KEPT_SEGMENTS) {
      const [oldest] = this.#kept.keys();
      if (oldest !== undefined) this.#kept.delete(oldest);
    }
    return loading;
  }

  async #fetch(index: number): Promise<Loaded> {
    const result = await this.#load(index);
    if (result.ok) return { ok: true, events: parseSegment(result.value) };
    if (!isMissing(result.error)) return { ok: false, error: result.error };
    this.#onMissing(result.error);
    return { ok: true, events: [] };
  }
}

/** Something of the API as state of a page: loaded once, and again after each change. */
import type { ApiResult } from './api';
import { app } from './app.svelte';

export class Loaded<T> {
  /** `null` until it is there. */
  value = $state.raw<T | null>(null);
  /** Why it could not be loaded; what was loaded before stays. */
  failure = $state.raw<string | null>(null);
  readonly #load: () => Promise<ApiResult<T>>;

  constructor(load: () => Promise<ApiResult<T>>) {
    this.#load = load;
    void this.refresh();
  }

  async refresh(): Promise<void> {
    const result = await this.#load();
    if (result.ok) this.value = result.value;
    else if (result.error.status === 401) app.identity = { kind: 'signed-out' };
    this.failure = result.ok ? null : result.error.sentence;
  }
}

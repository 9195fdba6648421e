/** A long list as state of a page: loaded by and by, and refreshed while somebody sees it. */
import { untrack } from 'svelte';
import type { ApiError, ApiResult, Page } from './api';
import { app } from './app.svelte';
import { itemsOf, nextCursor, refreshed, REFRESHED_PAGES } from './pages';
import { repeatWhileVisible } from './repeat';

type Load<T> = (cursor: string | null) => Promise<ApiResult<Page<T>>>;

export class PagedList<T> {
  /** `null` until the first page is there. */
  items = $derived.by((): readonly T[] | null => (this.#pages === null ? null : itemsOf(this.#pages, this.#key)));
  hasMore = $derived.by(() => this.#pages !== null && !this.isChanging && nextCursor(this.#pages) !== null);
  error = $state.raw<ApiError | null>(null);
  isLoadingMore = $state(false);
  /** Whether another list was asked for than the one that is still shown. */
  isChanging = $state(false);
  readonly #key: (item: T) => string;
  #pages = $state.raw<readonly Page<T>[] | null>(null);
  #load: Load<T> | null = null;

  constructor(key: (item: T) => string) {
    this.#key = key;
  }

  /** Shows another list from now on, and keeps it fresh. Returns what stops that. */
  follow(load: Load<T>, pauseMs: number): () => void {
    this.#load = load;
    return untrack(() => {
      this.isChanging = this.#pages !== null;
      return repeatWhileVisible(() => this.refresh(), pauseMs);
    });
  }

  /** Loads again what changes most. */
  async refresh(): Promise<void> {
    const load = this.#load;
    if (load === null) return;
    const pages = this.isChanging ? [] : (this.#pages ?? []);
    const wanted = Math.min(REFRESHED_PAGES, Math.max(1, pages.length));
    const fresh: Page<T>[] = [];
    while (fresh.length < wanted && (fresh.length === 0 || nextCursor(fresh) !== null)) {
      const result = await load(nextCursor(fresh));
      if (this.#load !== load) return;
      if (!result.ok) {
        this.#fail(result.error);
        return;
      }
      fresh.push(result.value);
    }
    this.error = null;
    this.#pages = refreshed(this.isChanging ? [] : (this.#pages ?? []), fresh);
    this.isChanging = false;
  }

  /** Loads the next page. */
  async more(): Promise<void> {
    const load = this.#load;
    const pages = this.#pages ?? [];
    if (load === null || this.isLoadingMore || !this.hasMore) return;
    this.isLoadingMore = true;
    const result = await load(nextCursor(pages));
    this.isLoadingMore = false;
    if (this.#load !== load) return;
    if (result.ok) this.#pages = [...(this.#pages ?? []), result.value];
    else this.#fail(result.error);
  }

  #fail(error: ApiError): void {
    this.error = error;
    if (this.isChanging) this.#pages = null;
    this.isChanging = false;
    if (error.status === 401) app.identity = { kind: 'signed-out' };
  }
}

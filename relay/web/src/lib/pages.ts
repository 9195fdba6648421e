/** A long list as the pages that were loaded of it. Pure. */
import type { Page } from './api';

/** How many pages are asked for anew when a list is refreshed: what lies further down is old and changes seldom. */
export const REFRESHED_PAGES = 3;

/** All items, each once: one that moved while pages were loaded may be on two. */
export function itemsOf<T>(pages: readonly Page<T>[], key: (item: T) => string): T[] {
  const byKey = new Map<string, T>();
  for (const item of pages.flatMap((page) => page.items)) {
    if (!byKey.has(key(item))) byKey.set(key(item), item);
  }
  return [...byKey.values()];
}

/** Where the list goes on; `null` when it is complete. */
export function nextCursor<T>(pages: readonly Page<T>[]): string | null {
  return pages.at(-1)?.next_cursor ?? null;
}

/** Puts pages that were loaded anew in the place of the first ones; what was loaded beyond them stays. */
export function refreshed<T>(pages: readonly Page<T>[], fresh: readonly Page<T>[]): readonly Page<T>[] {
  return nextCursor(fresh) === null ? fresh : [...fresh, ...pages.slice(fresh.length)];
}

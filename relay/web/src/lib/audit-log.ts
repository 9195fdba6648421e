/** The audit log as a page keeps it: pages of the past, and what arrives. Pure: pages and events in, rows out. */
import type { AuditEvent } from './audit';
import type { Page } from './api';

/** Rows that are kept; who wants more narrows the filter, or exports. */
export const MAX_ROWS = 20_000;

/** New events that wait to be shown; beyond it the log is loaded anew instead. */
export const MAX_FRESH = 1_000;

/** Whether new events are shown as they arrive, or counted only: somebody reads further down, or has paused. */
export type Mode = 'following' | 'holding';

/** `reload`: too much has happened to go on from here; the first page has to be loaded anew. */
export type Outcome = 'fine' | 'reload';

export class AuditLog {
  /** Newest first, each position once. */
  #rows: readonly AuditEvent[] = [];
  #fresh: readonly AuditEvent[] = [];
  #cursor: string | null = null;
  #mode: Mode = 'following';
  #isLoaded = false;
  /** Whether events between the waiting ones and the rows were missed. */
  #hasGap = false;

  get rows(): readonly AuditEvent[] {
    return this.#rows;
  }

  /** How many new events wait. */
  get freshCount(): number {
    return this.#fresh.length;
  }

  get isLoaded(): boolean {
    return this.#isLoaded;
  }

  /** Where older events go on; `null` when there are none, or no room for them. */
  get olderCursor(): string | null {
    return this.#rows.length >= MAX_ROWS ? null : this.#cursor;
  }

  /** Whether there are older events that are not shown for want of room. */
  get isFull(): boolean {
    return this.#rows.length >= MAX_ROWS && this.#cursor !== null;
  }

  /** Takes the newest page: the first one, or what was missed while the stream was away. */
  newest(page: Page<AuditEvent>): void {
    const known = this.#newestPosition();
    const missed = page.items.filter((event) => event.position > known);
    const hasGap = missed.length === page.items.length && page.next_cursor !== null;
    if (!this.#isLoaded || (hasGap && this.#mode === 'following')) {
      this.reset(page);
    } else {
      this.#hasGap ||= hasGap;
      this.arrived(missed);
    }
  }

  /** Begins again with this page. What arrived while it was on its way stays. */
  reset(page: Page<AuditEvent>): void {
    const top = page.items[0]?.position ?? 0;
    const later = [...this.#fresh, ...this.#rows].filter((event) => event.position > top);
    this.#rows = inOrder([...later, ...page.items]);
    this.#fresh = [];
    this.#cursor = page.next_cursor;
    this.#isLoaded = true;
    this.#hasGap = false;
  }

  /** Takes a page of older events. */
  older(page: Page<AuditEvent>): void {
    const oldest = this.#rows.at(-1)?.position ?? Infinity;
    this.#rows = [...this.#rows, ...page.items.filter((event) => event.position < oldest)];
    this.#cursor = page.next_cursor;
  }

  /** Takes events of the stream. Repeated ones are dropped. */
  arrived(events: readonly AuditEvent[]): Outcome {
    const known = this.#newestPosition();
    const news = inOrder(events.filter((event) => event.position > known));
    if (!this.#isLoaded || this.#mode === 'holding') this.#fresh = [...news, ...this.#fresh].slice(0, MAX_FRESH);
    else this.#rows = [...news, ...this.#rows];
    return this.#mode === 'following' && this.#rows.length > MAX_ROWS ? 'reload' : 'fine';
  }

  /** Counts new events from now on. */
  hold(): void {
    this.#mode = 'holding';
  }

  /** Shows what has waited, and what comes. */
  follow(): Outcome {
    this.#mode = 'following';
    const isTooMuch = this.#hasGap || this.#fresh.length >= MAX_FRESH || this.#rows.length > MAX_ROWS;
    if (!this.#isLoaded) return 'fine';
    this.#rows = [...this.#fresh, ...this.#rows];
    this.#fresh = [];
    return isTooMuch ? 'reload' : 'fine';
  }

  #newestPosition(): number {
    return this.#fresh[0]?.position ?? this.#rows[0]?.position ?? 0;
  }
}

/** Newest first, each position once. */
function inOrder(events: readonly AuditEvent[]): AuditEvent[] {
  const sorted = [...events].sort((one, other) => other.position - one.position);
  return sorted.filter((event, index) => event.position !== sorted[index - 1]?.position);
}

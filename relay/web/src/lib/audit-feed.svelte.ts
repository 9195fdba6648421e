/** The audit log as state of a page: the past by pages, and what is new from the stream. */
import { untrack } from 'svelte';
import type { ApiError } from './api';
import { api, app } from './app.svelte';
import { parseAuditEvent, streamUrl, type AuditEvent } from './audit';
import { AuditLog, type Mode } from './audit-log';
import { EventStream, type StreamEvent } from './event-stream';
import type { WatchState } from './inventory';
import { parseJson, ParseError } from './parse';
import { rememberPerson } from './people.svelte';
import { browserStreams, keepOpenWhileVisible } from './visible-stream';

/** Events that arrive within this time are drawn at once. */
const BURST_MS = 100;

/** What the page draws. */
interface View {
  /** `null` until the first page is there. */
  readonly rows: readonly AuditEvent[] | null;
  readonly freshCount: number;
  readonly hasOlder: boolean;
  readonly isFull: boolean;
}

const NOTHING: View = { rows: null, freshCount: 0, hasOlder: false, isFull: false };

export class AuditFeed {
  view = $state.raw<View>(NOTHING);
  connection = $state.raw<WatchState>({ kind: 'loading' });
  /** Why the list itself could not be loaded. */
  error = $state.raw<ApiError | null>(null);
  isLoadingOlder = $state(false);
  #log = new AuditLog();
  #query: URLSearchParams | null = null;
  #mode: Mode = 'following';
  #burst: AuditEvent[] = [];
  #timer: number | null = null;

  /** Shows what a query finds, from now on. Returns what stops that. */
  follow(query: URLSearchParams): () => void {
    return untrack(() => {
      this.#query = query;
      this.#log = new AuditLog();
      if (this.#mode === 'holding') this.#log.hold();
      this.connection = { kind: 'loading' };
      this.error = null;
      this.#burst = [];
      const stop = keepOpenWhileVisible(this.#stream(query));
      return () => {
        stop();
        if (this.#timer !== null) window.clearTimeout(this.#timer);
        this.#timer = null;
      };
    });
  }

  /** Whether new events are shown as they come, or only counted. */
  setMode(mode: Mode): void {
    if (mode === this.#mode) return;
    this.#mode = mode;
    if (mode === 'holding') this.#log.hold();
    else if (this.#log.follow() === 'reload') void this.reload();
    this.#publish();
  }

  /** Loads the newest page anew, in place of all that is shown. */
  async reload(): Promise<void> {
    const log = new AuditLog();
    if (this.#mode === 'holding') log.hold();
    this.#log = log;
    await this.#loadNewest(log);
  }

  /** Loads older events. A page may bring none and go on all the same: a filter that finds little is searched in pieces. */
  async older(): Promise<void> {
    const [log, query] = [this.#log, this.#query];
    if (query === null || this.isLoadingOlder) return;
    this.isLoadingOlder = true;
    const known = log.rows.length;
    while (this.#log === log && log.rows.length === known && log.olderCursor !== null) {
      const result = await api.auditEvents(query, log.olderCursor);
      if (this.#log !== log) break;
      if (!result.ok) {
        this.#fail(result.error);
        break;
      }
      this.error = null;
      log.older(result.value);
      remember(result.value.items);
    }
    this.isLoadingOlder = false;
    if (this.#log === log) this.#publish();
  }

  /** The stream stands before the list is asked for: nothing can happen in between unseen. */
  #stream(query: URLSearchParams): EventStream {
    const { fetch, clock, random } = browserStreams;
    const handlers = {
      onOpen: () => {
        this.connection = { kind: 'live' };
        void this.#loadNewest(this.#log);
      },
      onEvent: (event: StreamEvent): 'continue' => {
        this.#take(event);
        return 'continue';
      },
      onError: (error: ApiError) => {
        const { status, sentence } = error;
        const isFinal = status >= 400 && status < 500 && status !== 429;
        this.connection = { kind: isFinal ? 'refused' : 'reconnecting', sentence };
        if (status === 401 || !this.#log.isLoaded) this.#fail(error);
      },
    };
    return new EventStream(streamUrl(query), handlers, fetch, clock, random);
  }

  #take(event: StreamEvent): void {
    try {
      this.#burst.push(parseJson(event.data, parseAuditEvent));
    } catch (error) {
      // Of a kind that a newer relay sends.
      if (error instanceof ParseError) return;
      throw error;
    }
    this.#timer ??= window.setTimeout(() => {
      this.#timer = null;
      const events = this.#burst.splice(0);
      remember(events);
      if (this.#log.arrived(events) === 'reload') void this.reload();
      this.#publish();
    }, BURST_MS);
  }

  async #loadNewest(log: AuditLog): Promise<void> {
    const query = this.#query;
    if (query === null) return;
    const result = await api.auditEvents(query, null);
    if (this.#log !== log) return;
    if (!result.ok) {
      this.#fail(result.error);
      return;
    }
    this.error = null;
    log.newest(result.value);
    remember(result.value.items);
    this.#publish();
    if (log.rows.length === 0) await this.older();
  }

  #fail(error: ApiError): void {
    if (error.status === 401) app.identity = { kind: 'signed-out' };
    this.error = error;
    if (!this.#log.isLoaded) this.view = NOTHING;
  }

  #publish(): void {
    const log = this.#log;
    if (!log.isLoaded) return;
    const { rows, freshCount, isFull } = log;
    this.view = { rows, freshCount, hasOlder: log.olderCursor !== null, isFull };
  }
}

/** Notes who people are, for the filter. */
function remember(events: readonly AuditEvent[]): void {
  for (const { actor, user } of events) {
    if (actor.kind === 'user' && actor.id !== null && actor.name !== null) rememberPerson(actor.id, actor.name);
    if (user !== null) rememberPerson(user.id, user.name);
  }
}

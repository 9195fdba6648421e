/** A terminal page's doings as state: opens or resumes a session, and ties client, terminal and browser together. */
import { tick } from 'svelte';
import { terminalUrl, type ApiError } from './api';
import { api, app } from './app.svelte';
import { rememberCluster } from './cluster-names.svelte';
import { debugMayHelp } from './debug';
import type { HeardLife } from './life';
import type { Paste } from './paste';
import type { TerminalPlace } from './route';
import { openWithShell } from './chosen-shell';
import { SessionClient, type ClientState } from './session-client';
import type { ChosenShell } from './settings';
import { TerminalView, type SearchResult, type Shortcut } from './terminal';
import { browserClock } from './timing';

/** What the page shows in place of a live terminal, or over it. */
export type PageState =
  /** Somebody came by an address: nothing is opened unasked. */
  | { readonly kind: 'asking' }
  | { readonly kind: 'opening' }
  /** Where a debug container may help, with the images that it may have. */
  | { readonly kind: 'refused'; readonly error: ApiError; readonly debugImages: readonly string[] }
  | { readonly kind: 'attached'; readonly client: ClientState };

/** A paste that waits for the person's word. */
export interface PendingPaste {
  readonly paste: Paste;
  readonly answer: (mayPaste: boolean) => void;
}

export class TerminalSession {
  state = $state.raw<PageState>({ kind: 'asking' });
  title = $state('');
  search = $state.raw<SearchResult | null>(null);
  pendingPaste = $state.raw<PendingPaste | null>(null);
  warning = $state<string | null>(null);
  life = $state.raw<HeardLife | null>(null);
  /** How many people watch. */
  observers = $state(0);
  readonly #place: TerminalPlace;
  readonly #onShortcut: (shortcut: Shortcut) => void;
  #view: TerminalView | null = null;
  #client: SessionClient | null = null;
  #sessionId = $state<string | null>(null);
  #debugImage: string | null = null;
  #isDisposed = false;
  /** Why the terminal is needed, once the person said so. */
  #reason: string | null = null;

  constructor(place: TerminalPlace, session: string | null, onShortcut: (shortcut: Shortcut) => void) {
    this.#place = place;
    this.#sessionId = session;
    this.#onShortcut = onShortcut;
    const mayOpen = session !== null || app.takeIntent() === 'open-terminal';
    this.state = { kind: mayOpen ? 'opening' : 'asking' };
  }

  /** The session's id, once there is one. */
  get id(): string | null {
    return this.#sessionId;
  }

  get terminal(): TerminalView | null {
    return this.#view;
  }

  /** Puts the terminal into the page and starts the session. Returns what undoes it. */
  mount(container: HTMLElement): () => void {
    const view = new TerminalView(container, app.settings.terminal, {
      onInput: (bytes) => {
        this.#send(bytes);
      },
      onResize: (size) => this.#client?.resize(size),
      onTitle: (title) => (this.title = title),
      onShortcut: this.#onShortcut,
      onSearch: (result) => (this.search = result),
      confirmPaste: (paste) => this.#confirmPaste(paste),
    });
    this.#view = view;
    this.#isDisposed = false;
    const online = () => this.#client?.setNetwork('online');
    const offline = () => this.#client?.setNetwork('offline');
    window.addEventListener('online', online);
    window.addEventListener('offline', offline);
    if (this.#sessionId !== null) this.#attach(view, this.#sessionId, null);
    else void this.open();
    return () => {
      this.#isDisposed = true;
      window.removeEventListener('online', online);
      window.removeEventListener('offline', offline);
      this.#client?.dispose();
      view.dispose();
      this.#view = null;
    };
  }

  /** Opens a new session, where nothing is open yet; with a reason where one was asked for. */
  async open(reason: string | null = null): Promise<void> {
    this.#reason = reason ?? this.#reason;
    this.state = { kind: 'opening' };
    const view = this.#view;
    // It opens as soon as the terminal is in the page.
    if (view === null) return;
    const { cluster, namespace, pod, container } = this.#place;
    const target = { cluster, namespace, pod, container };
    const result = await openWithShell(this.#chosenShell(), (command) =>
      api.openSession(target, view.size, {
        ...(this.#debugImage === null ? {} : { debugImage: this.#debugImage }),
        ...(this.#reason === null ? {} : { reason: this.#reason }),
        ...(command === null ? {} : { command }),
      }),
    );
    if (this.#isDisposed) return;
    if (!result.ok) {
      await this.#refuse(result.error);
      return;
    }
    const { session, ticket } = result.value;
    rememberCluster(session.cluster.id, session.cluster.name);
    this.#sessionId = session.id;
    app.rename({ page: 'terminal', ...this.#place, session: session.id });
    this.#attach(view, session.id, ticket);
  }

  /** Opens a session in a debug container, after the container itself was refused. The terminal, once there, opens it. */
  debug(image: string): void {
    this.#debugImage = image;
    this.state = { kind: 'opening' };
  }

  /** Ends the session for good, its processes included. */
  async end(): Promise<void> {
    if (this.#sessionId === null || this.#client?.requestEnd() === true) return;
    const result = await api.endSession(this.#sessionId);
    if (result.ok) this.#client?.retryNow();
    else this.warning = result.error.sentence;
  }

  retryNow(): void {
    this.#client?.retryNow();
  }

  answerPaste(mayPaste: boolean): void {
    this.pendingPaste?.answer(mayPaste);
    this.pendingPaste = null;
    // While the dialog is there, nothing behind it takes the focus.
    void tick().then(() => this.#view?.focus());
  }

  /** A debug container has the shells of its image, which nobody chose. */
  #chosenShell(): ChosenShell | null {
    const { shell } = app.settings.terminal;
    return shell === 'auto' || this.#debugImage !== null ? null : shell;
  }

  async #refuse(error: ApiError): Promise<void> {
    if (error.status === 401) app.identity = { kind: 'signed-out' };
    const refused: PageState = { kind: 'refused', error, debugImages: [] };
    this.state = refused;
    if (!debugMayHelp(error)) return;
    const found = await api.debugImages();
    // The person may have gone on meanwhile.
    if (found.ok && this.state === refused) this.state = { ...refused, debugImages: found.value.images };
  }

  #attach(view: TerminalView, session: string, ticket: string | null): void {
    const client = new SessionClient({
      session,
      ticket,
      size: view.size,
      sink: view.output,
      clock: browserClock,
      random: Math.random,
      newWriter: randomWriter,
      openSocket: () => new WebSocket(terminalUrl(session, location.href)),
      getTicket: () => api.ticket(session),
      onState: (state) => {
        this.#show(state);
      },
      onLife: (life) => (this.life = { life, heardAt: Date.now() }),
      onObservers: (count) => (this.observers = count),
    });
    this.#client = client;
    this.#show(client.state);
    if (!navigator.onLine) client.setNetwork('offline');
    client.start();
    view.focus();
  }

  #show(client: ClientState): void {
    if (client.kind === 'unauthenticated') app.identity = { kind: 'signed-out' };
    this.state = { kind: 'attached', client };
  }

  #send(bytes: Uint8Array): void {
    const outcome = this.#client?.send(bytes);
    if (outcome === 'too_much') {
      this.warning = 'That is more input than can wait to be sent, so none of it was taken. Paste it in smaller parts.';
    }
  }

  #confirmPaste(paste: Paste): Promise<boolean> {
    this.pendingPaste?.answer(false);
    return new Promise((answer) => {
      this.pendingPaste = { paste, answer };
    });
  }
}

/** 16 hex digits, new for each page load. */
function randomWriter(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(8));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

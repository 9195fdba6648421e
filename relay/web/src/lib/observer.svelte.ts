/** Somebody else's terminal, as state for the page that watches it: nothing that is typed here goes anywhere. */
import { terminalUrl, type ApiError } from './api';
import { api, app } from './app.svelte';
import type { TerminalSize } from './protocol';
import { ReplayView } from './replay/replay-view';
import type { Session } from './session';
import { SessionClient, type ClientState } from './session-client';
import { TerminalOutput } from './terminal-output';
import { browserClock } from './timing';

/** Until the relay says what size the terminal has. */
const FIRST_SIZE: TerminalSize = { columns: 80, rows: 24 };

/** Names nobody's input: an observer has none. */
const NO_WRITER = '0000000000000000';

export class Observer {
  client = $state.raw<ClientState>({ kind: 'connecting' });
  session = $state.raw<Session | null>(null);
  error = $state.raw<ApiError | null>(null);
  readonly #id: string;
  #view: ReplayView | null = null;

  constructor(id: string) {
    this.#id = id;
  }

  /** Learns whose session it is. */
  async load(): Promise<void> {
    const result = await api.session(this.#id);
    if (result.ok) this.session = result.value;
    else this.error = result.error;
  }

  /** Puts the terminal into the page and begins to watch. Returns what undoes it. */
  mount(screen: HTMLElement, frame: HTMLElement): () => void {
    const view = new ReplayView(screen, frame, FIRST_SIZE, app.settings.terminal.screenReader);
    this.#view = view;
    const client = new SessionClient({
      session: this.#id,
      ticket: null,
      size: FIRST_SIZE,
      sink: new TerminalOutput({ write: (data, done) => void view.write(data).then(done) }),
      clock: browserClock,
      random: Math.random,
      newWriter: () => NO_WRITER,
      openSocket: () => new WebSocket(terminalUrl(this.#id, location.href)),
      getTicket: () => api.observerTicket(this.#id),
      onState: (state) => {
        if (state.kind === 'unauthenticated') app.identity = { kind: 'signed-out' };
        this.client = state;
      },
      onLife: () => undefined,
      onSize: (size) => {
        view.resize(size);
      },
    });
    const online = () => {
      client.setNetwork('online');
    };
    const offline = () => {
      client.setNetwork('offline');
    };
    window.addEventListener('online', online);
    window.addEventListener('offline', offline);
    client.start();
    return () => {
      window.removeEventListener('online', online);
      window.removeEventListener('offline', offline);
      client.dispose();
      view.dispose();
      this.#view = null;
    };
  }

  applyTheme(): void {
    this.#view?.applyTheme();
  }
}

/** A replay page's doings as state: opens the recording, and ties player, search and browser together. */
import type { ApiError } from '../api';
import { api, app } from '../app.svelte';
import { repeatWhileVisible } from '../repeat';
import type { Session } from '../session';
import { browserClock } from '../timing';
import { SPEEDS, changedSpeed, keyAction, type Key, type KeyAction, type Speed } from './keys';
import { Library } from './library';
import { nextMark, previousMark, type Mark } from './marks';
import { Player, type PlayerState } from './player';
import { ReplayApi, type Hit, type Recording } from './replay-api';
import { ReplayView } from './replay-view';

/** How often a recording that still runs is looked at again. */
const GROWTH_PAUSE_MS = 5_000;

/** What the page shows. */
export type ReplayPageState =
  | { readonly kind: 'loading' }
  | { readonly kind: 'refused'; readonly error: ApiError }
  | { readonly kind: 'open'; readonly recording: Recording };

/** A hit of a search, as a place to jump to. */
export interface HitMark extends Mark {
  readonly hit: Hit;
}

export type SearchState =
  | { readonly kind: 'none' }
  | { readonly kind: 'searching' }
  | { readonly kind: 'failed'; readonly sentence: string }
  | {
      readonly kind: 'found';
      readonly text: string;
      readonly hits: readonly HitMark[];
      readonly isTruncated: boolean;
    };

const BEFORE: PlayerState = {
  isPlaying: false,
  isWaiting: true,
  isAtEnd: false,
  positionMs: 0,
  durationMs: 0,
  error: null,
};

export class ReplaySession {
  page = $state.raw<ReplayPageState>({ kind: 'loading' });
  session = $state.raw<Session | null>(null);
  player = $state.raw<PlayerState>(BEFORE);
  speed = $state<Speed>(1);
  skipsIdle = $state(true);
  search = $state.raw<SearchState>({ kind: 'none' });
  missing = $state<string | null>(null);
  download = $state.raw<{ readonly isRunning: boolean; readonly error: string | null }>({
    isRunning: false,
    error: null,
  });
  readonly #id: string;
  readonly #api: ReplayApi;
  #player: Player | null = null;
  #view: ReplayView | null = null;
  #searching: AbortController | null = null;

  constructor(session: string) {
    this.#id = session;
    this.#api = new ReplayApi(session, (input, init) => fetch(input, init));
  }

  /** The commands, as places to jump to. */
  get commands(): readonly Mark[] {
    if (this.page.kind !== 'open') return [];
    return this.page.recording.markers.map(({ at_ms, label }) => ({ atMs: at_ms, label }));
  }

  get hits(): readonly HitMark[] {
    return this.search.kind === 'found' ? this.search.hits : [];
  }

  /** Opens the replay. */
  async open(): Promise<void> {
    this.page = { kind: 'loading' };
    const [session, facts] = await Promise.all([api.session(this.#id), this.#api.recording()]);
    if (session.ok) this.session = session.value;
    if (!facts.ok) {
      this.#refuse(facts.error);
      return;
    }
    // What is deleted cannot be opened; its facts say so.
    const opened = facts.value.state === 'deleted' ? facts : await this.#api.open();
    if (opened.ok) this.page = { kind: 'open', recording: opened.value };
    else this.#refuse(opened.error);
  }

  /** Puts the recorded screen into the page and plays. Returns what undoes it. */
  mount(container: HTMLElement, frame: HTMLElement, recording: Recording): () => void {
    const { columns, rows } = recording;
    const view = new ReplayView(container, frame, { columns, rows }, app.settings.terminal.screenReader);
    const library = new Library(
      (index) => this.#api.segment(index),
      (error) => (this.missing = error.sentence),
    );
    const player = new Player(extentOf(recording), {
      clock: browserClock,
      library,
      sink: view,
      screen: (atMs) => this.#api.screen(atMs),
      onState: (state) => (this.player = state),
    });
    this.#view = view;
    this.#player = player;
    player.play();
    const stop = recording.state === 'recording' ? this.#follow() : () => undefined;
    return () => {
      stop();
      this.#searching?.abort();
      player.dispose();
      view.dispose();
    };
  }

  applyTheme(): void {
    this.#view?.applyTheme();
  }

  toggle(): void {
    this.#player?.toggle();
  }

  /** Jumps, and marks what is looked for there. */
  async seek(atMs: number, highlight = ''): Promise<void> {
    this.#view?.highlight('');
    await this.#player?.seek(atMs);
    if (highlight !== '') this.#view?.highlight(highlight);
  }

  /** Jumps to a hit, and stands there: it may be gone from the screen a moment later. */
  async seekHit({ atMs }: Mark): Promise<void> {
    if (this.search.kind !== 'found') return;
    this.#player?.pause();
    await this.seek(atMs, this.search.text);
  }

  setSpeed(speed: Speed): void {
    this.speed = speed;
    this.#player?.setSpeed(speed);
  }

  setSkipsIdle(skips: boolean): void {
    this.skipsIdle = skips;
    this.#player?.setSkipsIdle(skips);
  }

  /** Looks for a text in all that was on the screen. A new search ends the one before. */
  async find(text: string): Promise<void> {
    this.#searching?.abort();
    this.#view?.highlight('');
    if (text.trim() === '') {
      this.search = { kind: 'none' };
      return;
    }
    const searching = new AbortController();
    this.#searching = searching;
    this.search = { kind: 'searching' };
    const result = await this.#api.search(text, searching.signal);
    if (searching.signal.aborted) return;
    if (!result.ok) {
      this.search = { kind: 'failed', sentence: result.error.sentence };
      return;
    }
    const hits = result.value.hits.map((hit) => ({ atMs: hit.at_ms, label: hit.text, hit }));
    this.search = { kind: 'found', text, hits, isTruncated: result.value.truncated };
  }

  /** Saves the recording as a file. */
  async save(): Promise<void> {
    this.download = { isRunning: true, error: null };
    const result = await this.#api.download();
    this.download = { isRunning: false, error: result.ok ? null : result.error.sentence };
    if (!result.ok) return;
    const address = URL.createObjectURL(result.value);
    const link = document.createElement('a');
    link.href = address;
    link.download = `podlatch-${this.#id}.cast`;
    link.click();
    URL.revokeObjectURL(address);
  }

  /** Does what a key asks for; whether it was one of ours. `search` is left to the page. */
  press(key: Key): KeyAction | null {
    const action = keyAction(key);
    if (action !== null) this.#act(action);
    return action;
  }

  #act(action: KeyAction): void {
    const { positionMs, durationMs } = this.player;
    switch (action.kind) {
      case 'toggle':
        this.toggle();
        return;
      case 'skip':
        void this.seek(positionMs + action.byMs);
        return;
      case 'command':
        this.goToCommand(action.direction);
        return;
      case 'hit':
        this.goToHit(action.direction);
        return;
      case 'speed':
        this.setSpeed(changedSpeed(this.speed, action.direction));
        return;
      case 'start':
        void this.seek(0);
        return;
      case 'end':
        void this.seek(durationMs);
        return;
      case 'search':
        return;
    }
  }

  goToCommand(direction: 'next' | 'previous'): void {
    const find = direction === 'next' ? nextMark : previousMark;
    const mark = find(this.commands, this.player.positionMs);
    if (mark !== null) void this.seek(mark.atMs);
  }

  goToHit(direction: 'next' | 'previous'): void {
    const { positionMs } = this.player;
    const hit =
      direction === 'next'
        ? nextMark(this.hits, positionMs)
        : (this.hits.findLast(({ atMs }) => atMs < positionMs) ?? null);
    if (hit !== null) void this.seekHit(hit);
  }

  /** Looks at a recording that still runs again and again, until it does not. */
  #follow(): () => void {
    const stop = repeatWhileVisible(async () => {
      const facts = await this.#api.recording();
      if (!facts.ok) return;
      this.page = { kind: 'open', recording: facts.value };
      this.#player?.extend(extentOf(facts.value));
      if (facts.value.state !== 'recording') stop();
    }, GROWTH_PAUSE_MS);
    return stop;
  }

  #refuse(error: ApiError): void {
    if (error.status === 401) app.identity = { kind: 'signed-out' };
    this.page = { kind: 'refused', error };
  }
}

export { SPEEDS };

function extentOf({ duration_ms, segments }: Recording): { durationMs: number; segments: Recording['segments'] } {
  return { durationMs: duration_ms, segments };
}

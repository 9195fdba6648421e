/** xterm.js, set up for the console. No socket here: bytes go in by {@link TerminalView.output}, and come out by callback. */
import { FitAddon } from '@xterm/addon-fit';
import { SearchAddon } from '@xterm/addon-search';
import { Unicode11Addon } from '@xterm/addon-unicode11';
import { WebLinksAddon } from '@xterm/addon-web-links';
import { WebglAddon } from '@xterm/addon-webgl';
import { Terminal } from '@xterm/xterm';
import { preparePaste, type Paste } from './paste';
import type { TerminalSize } from './protocol';
import type { TerminalSettings } from './settings';
import { TerminalOutput } from './terminal-output';
import { terminalTheme } from './terminal-theme';

/** Lines that can be scrolled back to. */
const SCROLLBACK_LINES = 10_000;

/** Least contrast between text and its background (WCAG 2.2, success criterion 1.4.3). */
const LEAST_CONTRAST = 4.5;

/** Smallest size worth telling the shell: below it the page is only just being laid out. */
const LEAST_SIZE: TerminalSize = { columns: 2, rows: 1 };

/** Keys that the console keeps for itself. */
export type Shortcut = 'search' | 'leave';

/** Direction of a search. */
export type SearchDirection = 'next' | 'previous';

/** What a search found: `index` is -1 where too much was found to number it. */
export interface SearchResult {
  readonly index: number;
  readonly count: number;
}

export interface TerminalCallbacks {
  readonly onInput: (bytes: Uint8Array) => void;
  readonly onResize: (size: TerminalSize) => void;
  /** The title that the shell set; untrusted text. */
  readonly onTitle: (title: string) => void;
  readonly onShortcut: (shortcut: Shortcut) => void;
  readonly onSearch: (result: SearchResult) => void;
  /** Decides about a paste of several lines that the shell would run at once. */
  readonly confirmPaste: (paste: Paste) => Promise<boolean>;
}

export class TerminalView {
  readonly output: TerminalOutput;
  readonly #container: HTMLElement;
  readonly #callbacks: TerminalCallbacks;
  readonly #terminal: Terminal;
  readonly #fit = new FitAddon();
  readonly #search = new SearchAddon();
  readonly #observer: ResizeObserver;
  readonly #encoder = new TextEncoder();
  #settings: TerminalSettings;
  #webgl: WebglAddon | null = null;
  #frame: number | null = null;

  constructor(container: HTMLElement, settings: TerminalSettings, callbacks: TerminalCallbacks) {
    this.#container = container;
    this.#settings = settings;
    this.#callbacks = callbacks;
    this.#terminal = new Terminal({
      // The unicode and decoration interfaces that the add-ons use are still called proposed.
      allowProposedApi: true,
      cursorBlink: false,
      fontFamily: getComputedStyle(container).getPropertyValue('--font-mono'),
      fontSize: settings.fontSize,
      linkHandler: { activate: openLink },
      macOptionIsMeta: true,
      minimumContrastRatio: LEAST_CONTRAST,
      screenReaderMode: settings.screenReader === 'on',
      scrollback: SCROLLBACK_LINES,
      theme: terminalTheme(container),
    });
    this.output = new TerminalOutput(this.#terminal);
    this.#observer = new ResizeObserver(() => {
      this.#fitSoon();
    });
    this.#open();
  }

  get size(): TerminalSize {
    return { columns: this.#terminal.cols, rows: this.#terminal.rows };
  }

  focus(): void {
    this.#terminal.focus();
  }

  /** Text that is selected; empty when nothing is. */
  get selection(): string {
    return this.#terminal.getSelection();
  }

  /** Takes over changed settings and the page's theme. */
  apply(settings: TerminalSettings): void {
    this.#settings = settings;
    const { options } = this.#terminal;
    options.fontSize = settings.fontSize;
    options.screenReaderMode = settings.screenReader === 'on';
    options.theme = terminalTheme(this.#container);
    this.#chooseRenderer();
    this.#fitSoon();
  }

  /** Looks for a text in the screen and what was scrolled away. */
  find(text: string, direction: SearchDirection): void {
    const style = getComputedStyle(this.#container);
    const options = {
      decorations: {
        matchBackground: style.getPropertyValue('--term-match').trim(),
        matchOverviewRuler: style.getPropertyValue('--term-match').trim(),
        activeMatchBackground: style.getPropertyValue('--term-match-active').trim(),
        activeMatchColorOverviewRuler: style.getPropertyValue('--term-match-active').trim(),
      },
    };
    if (direction === 'next') this.#search.findNext(text, options);
    else this.#search.findPrevious(text, options);
  }

  endSearch(): void {
    this.#search.clearDecorations();
    this.#terminal.clearSelection();
    this.focus();
  }

  /** Pastes a text as the person's own paste would. */
  async paste(text: string): Promise<void> {
    const paste = preparePaste(text);
    if (paste.text === '') return;
    const runsAtOnce = paste.lines > 1 && !this.#terminal.modes.bracketedPasteMode;
    const mustAsk = runsAtOnce && this.#settings.confirmPaste === 'on';
    if (mustAsk && !(await this.#callbacks.confirmPaste(paste))) return;
    this.#terminal.paste(paste.text);
    this.focus();
  }

  dispose(): void {
    this.#observer.disconnect();
    if (this.#frame !== null) cancelAnimationFrame(this.#frame);
    this.#container.removeEventListener('paste', this.#onPaste, true);
    this.#terminal.dispose();
  }

  #open(): void {
    const terminal = this.#terminal;
    terminal.open(this.#container);
    terminal.loadAddon(this.#fit);
    terminal.loadAddon(this.#search);
    terminal.loadAddon(new Unicode11Addon());
    terminal.loadAddon(new WebLinksAddon(openLink));
    terminal.unicode.activeVersion = '11';
    this.#chooseRenderer();
    this.#fitNow();
    terminal.onData((data) => {
      if (this.output.admits(data)) this.#callbacks.onInput(this.#encoder.encode(data));
    });
    terminal.onBinary((data) => {
      this.#callbacks.onInput(Uint8Array.from(data, (unit) => unit.charCodeAt(0)));
    });
    terminal.onTitleChange(this.#callbacks.onTitle);
    terminal.attachCustomKeyEventHandler((event) => this.#handleKey(event));
    this.#search.onDidChangeResults(({ resultIndex, resultCount }) => {
      this.#callbacks.onSearch({ index: resultIndex, count: resultCount });
    });
    this.#container.addEventListener('paste', this.#onPaste, true);
    this.#observer.observe(this.#container);
  }

  /** WebGL where it works and is wanted; the DOM otherwise, and after the browser takes the context away. */
  #chooseRenderer(): void {
    if (this.#settings.renderer === 'dom') {
      this.#dropWebgl();
      return;
    }
    if (this.#webgl !== null) return;
    try {
      const webgl = new WebglAddon();
      webgl.onContextLoss(() => {
        this.#dropWebgl();
      });
      this.#terminal.loadAddon(webgl);
      this.#webgl = webgl;
    } catch {
      this.#webgl = null;
    }
  }

  #dropWebgl(): void {
    this.#webgl?.dispose();
    this.#webgl = null;
  }

  #fitSoon(): void {
    this.#frame ??= requestAnimationFrame(() => {
      this.#frame = null;
      this.#fitNow();
    });
  }

  #fitNow(): void {
    const proposed = this.#fit.proposeDimensions();
    if (proposed === undefined) return;
    const { cols, rows } = proposed;
    if (!(cols >= LEAST_SIZE.columns && rows >= LEAST_SIZE.rows)) return;
    if (cols === this.#terminal.cols && rows === this.#terminal.rows) return;
    this.#terminal.resize(cols, rows);
    this.#callbacks.onResize(this.size);
  }

  /** `false` keeps a key from the shell. */
  #handleKey(event: KeyboardEvent): boolean {
    if (event.isComposing || event.type !== 'keydown') return true;
    if (event.ctrlKey && event.key === 'Insert') return !this.#copy(event);
    if (event.shiftKey && event.key === 'Insert') return false;
    const isOurs = (event.ctrlKey && event.shiftKey && !event.altKey) || (event.metaKey && !event.ctrlKey);
    if (!isOurs) return true;
    switch (event.code) {
      case 'KeyF':
        return this.#keep(event, 'search');
      case 'KeyL':
        return this.#keep(event, 'leave');
      case 'KeyC':
        this.#copy(event);
        return false;
      case 'KeyV':
        // The browser's own paste follows, as an event.
        return false;
      default:
        return true;
    }
  }

  #keep(event: KeyboardEvent, shortcut: Shortcut): false {
    event.preventDefault();
    this.#callbacks.onShortcut(shortcut);
    return false;
  }

  #copy(event: KeyboardEvent): boolean {
    if (this.selection === '') return false;
    event.preventDefault();
    void navigator.clipboard.writeText(this.selection);
    return true;
  }

  readonly #onPaste = (event: ClipboardEvent): void => {
    event.preventDefault();
    event.stopPropagation();
    void this.paste(event.clipboardData?.getData('text/plain') ?? '');
  };
}

/** Opens a link that the container's output names: only the web, and without a way back to this page. */
function openLink(_event: MouseEvent, address: string): void {
  if (!URL.canParse(address)) return;
  const url = new URL(address);
  if (url.protocol === 'http:' || url.protocol === 'https:') {
    window.open(url, '_blank', 'noopener,noreferrer');
  }
}

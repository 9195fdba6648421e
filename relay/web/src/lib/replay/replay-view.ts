/** xterm.js as a screen that only shows: no input, no links, no answers to what the recorded programs asked. */
import { SearchAddon } from '@xterm/addon-search';
import { Unicode11Addon } from '@xterm/addon-unicode11';
import { Terminal } from '@xterm/xterm';
import type { TerminalSize } from '../protocol';
import { terminalTheme } from '../terminal-theme';
import type { ReplaySink } from './player';

/** Least contrast between text and its background (WCAG 2.2, success criterion 1.4.3). */
const LEAST_CONTRAST = 4.5;

/** The recorded screen is drawn as large as fits, between these sizes, in CSS pixels. Below, the page scrolls it. */
const FONT_SIZES = { least: 5, most: 16 } as const;

/** Lines that can be scrolled back to while a replay stands. */
const SCROLLBACK_LINES = 1_000;

export class ReplayView implements ReplaySink {
  readonly #container: HTMLElement;
  readonly #frame: HTMLElement;
  readonly #terminal: Terminal;
  readonly #search = new SearchAddon();
  readonly #observer: ResizeObserver;
  #highlight = '';

  /** Draws into `container`, as large as `frame` has room for. */
  constructor(container: HTMLElement, frame: HTMLElement, size: TerminalSize, screenReader: 'on' | 'off') {
    this.#container = container;
    this.#frame = frame;
    this.#terminal = new Terminal({
      allowProposedApi: true,
      cols: size.columns,
      rows: size.rows,
      cursorBlink: false,
      cursorInactiveStyle: 'block',
      disableStdin: true,
      fontFamily: getComputedStyle(container).getPropertyValue('--font-mono'),
      fontSize: FONT_SIZES.most,
      minimumContrastRatio: LEAST_CONTRAST,
      screenReaderMode: screenReader === 'on',
      scrollback: SCROLLBACK_LINES,
      theme: terminalTheme(container),
    });
    this.#terminal.open(container);
    this.#terminal.loadAddon(this.#search);
    this.#terminal.loadAddon(new Unicode11Addon());
    this.#terminal.unicode.activeVersion = '11';
    // Nobody types here, so the field that xterm.js types into is none of the page's stops.
    this.#terminal.textarea?.setAttribute('tabindex', '-1');
    this.#observer = new ResizeObserver(() => {
      this.#fit();
    });
    this.#observer.observe(frame);
    this.#fit();
  }

  reset(size: TerminalSize): void {
    this.#terminal.reset();
    this.resize(size);
  }

  resize({ columns, rows }: TerminalSize): void {
    this.#terminal.resize(columns, rows);
    this.#fit();
  }

  write(data: Uint8Array | string): Promise<void> {
    return new Promise((resolve) => {
      this.#terminal.write(data, resolve);
    });
  }

  /** Takes over the page's theme. */
  applyTheme(): void {
    this.#terminal.options.theme = terminalTheme(this.#frame);
    if (this.#highlight !== '') this.highlight(this.#highlight);
  }

  /** Marks a text wherever the screen shows it; an empty one takes the marks away. */
  highlight(text: string): void {
    this.#highlight = text;
    this.#search.clearDecorations();
    this.#terminal.clearSelection();
    if (text === '') return;
    const style = getComputedStyle(this.#frame);
    const colour = (name: string) => style.getPropertyValue(`--term-${name}`).trim();
    this.#search.findPrevious(text, {
      decorations: {
        matchBackground: colour('match'),
        matchOverviewRuler: colour('match'),
        activeMatchBackground: colour('match-active'),
        activeMatchColorOverviewRuler: colour('match-active'),
      },
    });
  }

  dispose(): void {
    this.#observer.disconnect();
    this.#terminal.dispose();
  }

  /** Chooses the largest size of text with which the whole screen is seen. */
  #fit(): void {
    const screen = this.#terminal.element?.querySelector<HTMLElement>('.xterm-screen');
    const width =
      this.#frame.clientWidth - padding(this.#frame, 'Left', 'Right') - padding(this.#container, 'Left', 'Right');
    const height =
      this.#frame.clientHeight - padding(this.#frame, 'Top', 'Bottom') - padding(this.#container, 'Top', 'Bottom');
    if (screen === null || screen === undefined || screen.offsetWidth === 0 || width <= 0 || height <= 0) return;
    const size = this.#terminal.options.fontSize ?? FONT_SIZES.most;
    const fitting = size * Math.min(width / screen.offsetWidth, height / screen.offsetHeight);
    const next = Math.min(FONT_SIZES.most, Math.max(FONT_SIZES.least, Math.floor(fitting * 4) / 4));
    if (Math.abs(next - size) >= 0.25) this.#terminal.options.fontSize = next;
  }
}

function padding(element: HTMLElement, ...sides: readonly ('Left' | 'Right' | 'Top' | 'Bottom')[]): number {
  const style = getComputedStyle(element);
  return sides.reduce((sum, side) => sum + parseFloat(style[`padding${side}`]), 0);
}

/** What a person sets for this browser. Kept in local storage; anything unreadable there falls back to the default. */
import { integer, nullable, object, oneOf, parseJson } from './parse';

export interface TerminalSettings {
  /** `auto` is WebGL where it works. */
  readonly renderer: 'auto' | 'dom';
  /** In CSS pixels. */
  readonly fontSize: number;
  readonly screenReader: 'on' | 'off';
  /** Whether to ask before pasting several lines that would run at once. */
  readonly confirmPaste: 'on' | 'off';
  /** What new terminals start with, where the container has it; `auto` is the best of bash and the plain shells. */
  readonly shell: 'auto' | ChosenShell;
}

/** A shell that a person may prefer. */
export type ChosenShell = 'bash' | 'zsh' | 'fish' | 'sh';

export const SHELLS: readonly ChosenShell[] = ['bash', 'zsh', 'fish', 'sh'];

export interface Settings {
  readonly theme: 'system' | 'light' | 'dark';
  readonly terminal: TerminalSettings;
}

export const FONT_SIZES = { least: 8, most: 32 } as const;

export const DEFAULT_SETTINGS: Settings = {
  theme: 'system',
  terminal: { renderer: 'auto', fontSize: 14, screenReader: 'off', confirmPaste: 'on', shell: 'auto' },
};

export const SETTINGS_KEY = 'podlatch.settings';

const parser = object({
  theme: oneOf('system', 'light', 'dark'),
  terminal: object({
    renderer: oneOf('auto', 'dom'),
    fontSize: integer,
    screenReader: oneOf('on', 'off'),
    confirmPaste: oneOf('on', 'off'),
    // Kept settings may be older than it.
    shell: nullable(oneOf('auto', 'bash', 'zsh', 'fish', 'sh')),
  }),
});

export function readSettings(text: string | null): Settings {
  if (text === null) return DEFAULT_SETTINGS;
  try {
    const { theme, terminal } = parseJson(text, parser);
    const shell = terminal.shell ?? DEFAULT_SETTINGS.terminal.shell;
    return { theme, terminal: { ...terminal, shell, fontSize: clampFontSize(terminal.fontSize) } };
  } catch {
    return DEFAULT_SETTINGS;
  }
}

export function clampFontSize(size: number): number {
  return Math.min(FONT_SIZES.most, Math.max(FONT_SIZES.least, size));
}

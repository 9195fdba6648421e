/** A terminal in the console, as a person sees and uses it: what is on the screen, and keys. */
import type { Page } from 'playwright-core';
import type { ConsoleWindow } from './console';
import { eventually } from './eventually';

/** A prompt that no output looks like by chance. */
const PROMPT = 'pod>';

/** Any shell's first prompt. */
const FIRST_PROMPT = /[#$]$/;

export class TerminalWindow {
  readonly window: ConsoleWindow;
  readonly page: Page;
  #commands = 0;

  constructor(window: ConsoleWindow) {
    this.window = window;
    this.page = window.page;
  }

  /** The rows of the screen, without what is blank at their ends. */
  rows(): Promise<string[]> {
    return this.page
      .locator('.xterm-rows > div')
      .evaluateAll((rows) => rows.map((row) => row.textContent.replaceAll('\u00a0', ' ').trimEnd()));
  }

  /** All rows as one text, as if no line had been wrapped. */
  async unwrapped(): Promise<string> {
    return (await this.rows()).join('');
  }

  /** The last row that is not blank. */
  async lastRow(): Promise<string> {
    return (await this.rows()).findLast((row) => row !== '') ?? '';
  }

  /** Waits until a row of the screen looks like this, and returns it. */
  waitForRow(pattern: RegExp, deadlineMs = 30_000): Promise<string> {
    return eventually(
      `a row of the terminal like ${pattern.source}`,
      async () => (await this.rows()).find((row) => pattern.test(row)) ?? null,
      deadlineMs,
    );
  }

  /** Waits until the shell asks for the next command. */
  async waitForPrompt(deadlineMs = 30_000): Promise<void> {
    await eventually('the prompt', async () => ((await this.lastRow()).endsWith(PROMPT) ? true : null), deadlineMs);
  }

  /** Waits for the shell's own prompt and puts ours in its place. */
  async settle(): Promise<void> {
    await eventually('the first prompt', async () => (FIRST_PROMPT.test(await this.lastRow()) ? true : null));
    await this.type(`PS1='${PROMPT.slice(0, 2)}''${PROMPT.slice(2)} '; clear\n`);
    await this.waitForPrompt();
  }

  /** Types, as on a keyboard. */
  async type(text: string): Promise<void> {
    await this.page.keyboard.type(text);
  }

  async press(key: string): Promise<void> {
    await this.page.keyboard.press(key);
  }

  /** Runs a command at the prompt and returns the rows that it wrote. They must fit the screen. */
  async run(command: string): Promise<string[]> {
    const number = ++this.#commands;
    const [begin, end] = [`begin-${number}-42`, `end-${number}-42`];
    await this.type(`clear; echo begin-${number}-$((6*7)); ${command}; echo end-${number}-$((6*7))\n`);
    await this.waitForRow(new RegExp(`^${end}$`));
    await this.waitForPrompt();
    const rows = await this.rows();
    return rows.slice(rows.indexOf(begin) + 1, rows.indexOf(end));
  }

  /** The shell's process id: another shell would have another. */
  async shellId(): Promise<string> {
    return (await this.run('echo $$')).join('');
  }

  /** What the connection's status says. */
  status(): Promise<string> {
    return this.page.locator('header .status').innerText();
  }

  async waitForStatus(text: string, deadlineMs = 30_000): Promise<void> {
    await eventually(
      `the status “${text}”`,
      async () => ((await this.status()).includes(text) ? true : null),
      deadlineMs,
    );
  }

  /** Ends the session by its button, and confirms. */
  async end(): Promise<void> {
    await this.page.getByRole('button', { name: 'End session' }).click();
    await this.page.getByRole('dialog').getByRole('button', { name: 'End session' }).click();
  }
}

/** A replay in the console, as a person sees and uses it. */
import type { Page } from 'playwright-core';
import type { ConsoleWindow } from './console';
import { eventually } from './eventually';

export class ReplayWindow {
  readonly page: Page;

  constructor(window: ConsoleWindow) {
    this.page = window.page;
  }

  /** Opens the replay of a session and waits until its screen is there. */
  static async open(window: ConsoleWindow, session: string): Promise<ReplayWindow> {
    await window.page.goto(`/sessions/${session}/replay`);
    const replay = new ReplayWindow(window);
    await window.page.locator('.xterm-rows > div').first().waitFor();
    return replay;
  }

  /** The rows of the recorded screen that are not blank. */
  async rows(): Promise<string[]> {
    const rows = await this.page
      .locator('.xterm-rows > div')
      .evaluateAll((all) => all.map((row) => row.textContent.replaceAll('\u00a0', ' ').trimEnd()));
    return rows.filter((row) => row !== '');
  }

  waitForRow(pattern: RegExp, deadlineMs = 30_000): Promise<string> {
    return eventually(
      `a recorded row like ${pattern.source}`,
      async () => (await this.rows()).find((row) => pattern.test(row)) ?? null,
      deadlineMs,
    );
  }

  /** Where the player stands, in milliseconds. */
  async position(): Promise<number> {
    return Number(await this.page.getByRole('slider', { name: 'Position' }).inputValue());
  }

  async duration(): Promise<number> {
    return Number(await this.page.getByRole('slider', { name: 'Position' }).getAttribute('max'));
  }

  /** Drags the slider. */
  async seek(atMs: number): Promise<void> {
    await this.page.getByRole('slider', { name: 'Position' }).fill(String(Math.round(atMs)));
  }

  async pause(): Promise<void> {
    await this.page.getByRole('button', { name: 'Pause', exact: true }).click();
    await this.page.getByRole('button', { name: 'Play', exact: true }).waitFor();
  }

  async play(): Promise<void> {
    await this.page.getByRole('button', { name: /^Play/ }).click();
  }

  /** Waits until everything was played. */
  async waitForEnd(deadlineMs = 60_000): Promise<void> {
    await this.page.getByRole('button', { name: 'Play again' }).waitFor({ timeout: deadlineMs });
  }

  async search(text: string): Promise<void> {
    const field = this.page.getByRole('searchbox', { name: 'Search in what was on the screen' });
    await field.fill(text);
    await field.press('Enter');
  }

  /** The hits of the last search, as their lines. */
  async hits(): Promise<string[]> {
    const list = this.page.getByRole('list', { name: 'Hits' }).getByRole('button');
    await list.first().waitFor();
    return list.locator('code').allInnerTexts();
  }
}

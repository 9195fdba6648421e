/** Looking at a page: a picture for people, and what assistive technology would stumble over. */
import { mkdir, readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { expect } from 'vitest';
import type { ConsoleWindow } from './console';
import { artifacts } from './settings';

const axe = readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

interface AxeResults {
  violations: { id: string; nodes: { html: string }[] }[];
}

/** Takes a picture of each page and has it examined. */
export class Look {
  readonly #page: Page;
  readonly #prefix: string;

  constructor(window: ConsoleWindow, prefix: string) {
    this.#page = window.page;
    this.#prefix = prefix;
  }

  async at(name: string): Promise<void> {
    await mkdir(artifacts, { recursive: true });
    await this.#page.screenshot({ path: join(artifacts, `${this.#prefix}-${name}.png`), animations: 'disabled' });
    // Evaluated by the debugger, which the content security policy does not bind.
    await this.#page.evaluate(await axe);
    // The terminal's own rows are judged by its minimum contrast, which keeps to the same rule.
    const results = await this.#page.evaluate<AxeResults>('axe.run({ exclude: [[".xterm-rows"]] })');
    const found = results.violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(' ')}`);
    expect(found, `${this.#prefix} ${name}`).toEqual([]);
    const overflow = await this.#page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
    expect(overflow, `${this.#prefix} ${name} is wider than the screen`).toBeLessThanOrEqual(0);
  }
}

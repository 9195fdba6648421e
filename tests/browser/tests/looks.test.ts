import { mkdir } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { describe, expect, it } from 'vitest';
import type { ConsoleWindow } from '../src/console';
import { CLUSTER } from '../src/stack';
import { artifacts } from '../src/settings';
import { setUp } from '../src/suite';

const suite = setUp();

const axe = readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

interface AxeResults {
  violations: { id: string; nodes: { html: string }[] }[];
}

const DESK = { width: 1280, height: 800 };
const PHONE = { width: 390, height: 844 };

describe.each(['light', 'dark'] as const)('in %s', (colorScheme) => {
  it.each([
    ['desk', DESK],
    ['phone', PHONE],
  ] as const)('every page is readable on a %s, for eyes and for assistive technology', async (device, viewport) => {
    const window = await suite.person({ colorScheme, viewport });
    const look = new Look(window, `${colorScheme}-${device}`);
    const { page } = window;
    await page.getByRole('link', { name: CLUSTER }).first().waitFor();
    await look.at('clusters');
    await page.getByRole('link', { name: CLUSTER }).first().click();
    await page.getByRole('link', { name: 'shop', exact: true }).waitFor();
    await look.at('namespaces');
    await page.getByRole('link', { name: 'shop', exact: true }).click();
    await page.getByText('2 of 2 ready').waitFor();
    await look.at('pods');
    await window.clickTerminalIcon('web');
    await page.getByRole('dialog').waitFor();
    await look.at('chooser');
    await page.getByRole('dialog').getByRole('button', { name: 'Cancel' }).click();
    const terminal = await window.openTerminal('default', 'tools');
    await terminal.run('ls --color=always -la /');
    await look.at('terminal');
    await page.getByRole('button', { name: 'Terminal settings' }).click();
    await look.at('settings');
    await page.keyboard.press('Escape');
    await page.getByRole('button', { name: 'End session' }).click();
    await look.at('end');
    await page.getByRole('dialog').getByRole('button', { name: 'End session' }).click();
    await terminal.waitForStatus('Ended');
    await look.at('ended');
    await page.goto('/sessions');
    await page.getByRole('link', { name: 'tools / main' }).first().waitFor();
    await look.at('sessions');
    await page.getByRole('link', { name: 'tools / main', exact: true }).first().click();
    await page.getByText('Client address').waitFor();
    await look.at('session');
    await page.goto(`/c/${await suite.stack.clusterId()}/terminal/audit`);
    await page.getByRole('row').filter({ hasText: 'Session ended' }).first().waitFor();
    await look.at('audit');
    await page.getByRole('row').filter({ hasText: 'Session ended' }).first().getByRole('button').click();
    await page.getByRole('dialog').getByText('As JSON').click();
    await look.at('event');
    await window.openNamespace('default');
    await window.clickTerminalIcon('distroless');
    await page.getByRole('alert').waitFor();
    await look.at('refused');
    await page.goto('/');
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.getByRole('heading', { name: 'You are not signed in' }).waitFor();
    await look.at('signed-out');
  });
});

/** Takes a picture of each page and has it examined. */
class Look {
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

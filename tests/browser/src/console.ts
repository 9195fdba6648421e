/** The console in a real browser: a person's window on it, and everything that went wrong in there. */
import { chromium, type Browser, type BrowserContext, type Page } from 'playwright-core';
import { programs } from './settings';
import { Stack, CLUSTER } from './stack';
import { TerminalWindow } from './terminal-window';

const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** What a person has set in this browser: rows of the terminal as elements, so that they can be read. */
const SETTINGS = {
  theme: 'system',
  terminal: { renderer: 'dom', fontSize: 12, screenReader: 'off', confirmPaste: 'on' },
};

export interface WindowOptions {
  readonly colorScheme?: 'light' | 'dark';
  readonly viewport?: { width: number; height: number };
  /** Who signs in; without it, the owner. */
  readonly email?: string;
}

/** A browser. */
export class Chromium {
  readonly #browser: Browser;

  private constructor(browser: Browser) {
    this.#browser = browser;
  }

  static async launch(): Promise<Chromium> {
    return new Chromium(await chromium.launch({ executablePath: programs.chromium, args: FLAGS }));
  }

  close(): Promise<void> {
    return this.#browser.close();
  }

  /** A window of a person who has never been here. */
  async stranger(stack: Stack, options: WindowOptions = {}): Promise<ConsoleWindow> {
    const context = await this.#browser.newContext({
      baseURL: stack.url,
      viewport: options.viewport ?? { width: 1280, height: 800 },
      colorScheme: options.colorScheme ?? 'light',
      permissions: ['clipboard-read', 'clipboard-write'],
    });
    await context.addInitScript((settings) => {
      // An empty page has no storage.
      if (location.protocol.startsWith('http') && localStorage.getItem('podlatch.settings') === null) {
        localStorage.setItem('podlatch.settings', JSON.stringify(settings));
      }
    }, SETTINGS);
    return new ConsoleWindow(stack, context, await context.newPage());
  }

  /** A window of a person who has signed in. */
  async person(stack: Stack, options: WindowOptions = {}): Promise<ConsoleWindow> {
    const window = await this.stranger(stack, options);
    await window.page.goto(await stack.signInLink(options.email));
    await window.page.getByRole('heading', { name: 'Clusters', exact: true }).waitFor();
    return window;
  }
}

/** A person's window. */
export class ConsoleWindow {
  readonly context: BrowserContext;
  readonly page: Page;
  /** Errors that no person should cause: thrown, or blocked by the content security policy. */
  readonly faults: string[] = [];
  readonly #stack: Stack;

  constructor(stack: Stack, context: BrowserContext, page: Page) {
    this.#stack = stack;
    this.context = context;
    this.page = page;
    page.setDefaultTimeout(20_000);
    page.on('pageerror', (error) => this.faults.push(error.message));
    page.on('console', (message) => {
      if (/Content Security Policy|Refused to/.test(message.text())) this.faults.push(message.text());
    });
  }

  /** Goes to a namespace by clicking, as people do. */
  async openNamespace(namespace: string, cluster = CLUSTER): Promise<void> {
    await this.page.goto('/');
    await this.page.getByRole('link', { name: cluster }).first().click();
    await this.page.getByRole('link', { name: namespace, exact: true }).click();
    await this.page.getByRole('heading', { name: namespace, exact: true }).waitFor();
  }

  /** Opens a terminal by its address and waits for the prompt. */
  async openTerminal(namespace: string, pod: string, container = 'main'): Promise<TerminalWindow> {
    const cluster = await this.#stack.clusterId();
    await this.page.goto(`/c/${cluster}/n/${namespace}/p/${pod}/${container}`);
    await this.page.getByRole('button', { name: 'Open a terminal' }).click();
    const terminal = new TerminalWindow(this);
    await terminal.settle();
    return terminal;
  }

  async clickTerminalIcon(name: string): Promise<void> {
    // A link where there is one container, a button where one has to be chosen.
    const label = `Open a terminal in ${name}`;
    const link = this.page.getByRole('link', { name: label, exact: true });
    await link.or(this.page.getByRole('button', { name: label, exact: true })).click();
  }

  close(): Promise<void> {
    return this.context.close();
  }
}

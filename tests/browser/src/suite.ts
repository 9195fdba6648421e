/** What every file of tests sets up: one stack, one browser, and a look at what went wrong. */
import { afterAll, afterEach, beforeAll, expect } from 'vitest';
import { Chromium, type ConsoleWindow, type WindowOptions } from './console';
import { Stack, type Agents } from './stack';

/** The stack and the browser of a file; windows that are opened here are closed, and judged, after each test. */
export class Suite {
  readonly #agents: Agents;
  readonly #flags: readonly string[];
  readonly #host: string | undefined;
  readonly #windows: ConsoleWindow[] = [];
  #stack: Stack | null = null;
  #browser: Chromium | null = null;

  constructor(agents: Agents, flags: readonly string[], host?: string) {
    this.#agents = agents;
    this.#flags = flags;
    this.#host = host;
  }

  get stack(): Stack {
    if (this.#stack === null) throw new Error('the stack is not started');
    return this.#stack;
  }

  /** A window of somebody who is signed in. */
  person(options: WindowOptions = {}): Promise<ConsoleWindow> {
    return this.#keep(this.#chromium.person(this.stack, options));
  }

  /** A window of somebody who is not. */
  stranger(options: WindowOptions = {}): Promise<ConsoleWindow> {
    return this.#keep(this.#chromium.stranger(this.stack, options));
  }

  async start(): Promise<void> {
    [this.#stack, this.#browser] = await Promise.all([
      Stack.start(this.#agents, this.#flags, this.#host),
      Chromium.launch(),
    ]);
  }

  async finishTest(hasFailed: boolean): Promise<void> {
    if (hasFailed) console.error(await this.#report());
    const faults = this.#windows.flatMap((window) => window.faults);
    await Promise.all(this.#windows.splice(0).map((window) => window.close()));
    expect(faults).toEqual([]);
  }

  async stop(): Promise<void> {
    await this.#browser?.close();
    await this.#stack?.close();
  }

  get #chromium(): Chromium {
    if (this.#browser === null) throw new Error('the browser is not started');
    return this.#browser;
  }

  async #keep(window: Promise<ConsoleWindow>): Promise<ConsoleWindow> {
    const opened = await window;
    this.#windows.push(opened);
    return opened;
  }

  /** What the windows show and what the processes logged. */
  async #report(): Promise<string> {
    const texts = this.#windows.map((window) => window.page.locator('body').innerText({ timeout: 5_000 }));
    const shown = await Promise.allSettled(texts);
    const windows = shown.map((result) => `--- window\n${result.status === 'fulfilled' ? result.value : '?'}`);
    return [...windows, this.stack.logs].join('\n');
  }
}

/** Sets up a suite for the tests of a file; the relay is started with these flags too, and reached by this host. */
export function setUp(agents: Agents = 'one', flags: readonly string[] = [], host?: string): Suite {
  const suite = new Suite(agents, flags, host);
  beforeAll(() => suite.start());
  afterEach(({ task }) => suite.finishTest(task.result?.state === 'fail'));
  afterAll(() => suite.stop());
  return suite;
}

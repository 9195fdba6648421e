import { afterEach, describe, expect, it } from 'vitest';
import { eventually } from '../src/eventually';
import { setUp } from '../src/suite';
import type { TerminalWindow } from '../src/terminal-window';

const suite = setUp();

/** How long a link is cut. */
const CUT_MS = 30_000;

const openTools = async () => (await suite.person()).openTerminal('default', 'tools');

afterEach(() => {
  suite.stack.http.mend();
  suite.stack.tunnel.mend();
});

describe('the same shell goes on', () => {
  it('when the tab is reloaded', async () => {
    const terminal = await openTools();
    const shell = await terminal.shellId();
    const address = terminal.page.url();
    await terminal.page.reload();
    await terminal.waitForRow(/pod>$/);
    await terminal.waitForStatus('Connected');
    expect(terminal.page.url()).toBe(address);
    expect(await terminal.shellId()).toBe(shell);
  });

  it('with its screen, when the tab is reloaded inside a full-screen program', async () => {
    const terminal = await openTools();
    await terminal.type('rm -f /tmp/reloaded.txt; vim -u NONE /tmp/reloaded.txt\n');
    await terminal.waitForRow(/^~$/);
    await terminal.type('ibefore the reload');
    await terminal.waitForRow(/^before the reload$/);
    await terminal.page.reload();
    await terminal.waitForRow(/^before the reload$/);
    await terminal.page.locator('.xterm-screen').click();
    await terminal.type(', and after');
    await terminal.waitForRow(/^before the reload, and after$/);
    await terminal.press('Escape');
    await terminal.type(':wq\n');
    await terminal.waitForPrompt();
    expect(await terminal.run('cat /tmp/reloaded.txt')).toEqual(['before the reload, and after']);
  });

  it('when the tab is closed, from the list of open terminals', async () => {
    const terminal = await openTools();
    const shell = await terminal.shellId();
    const session = terminal.page.url().split('/').at(-1) ?? '';
    await terminal.page.goto('/');
    await terminal.page.locator(`a[href$="${session}"]`).click();
    await terminal.waitForRow(/pod>$/);
    expect(await terminal.shellId()).toBe(shell);
  });

  it('when every connection of the browser is reset again and again', async () => {
    const terminal = await openTools();
    const shell = await terminal.shellId();
    const counter = await Counter.start(terminal, 150, 0.05);
    for (let round = 0; round < 5; round++) {
      await counter.waitFor(20 * (round + 1));
      suite.stack.http.sever();
    }
    await counter.finish();
    expect(await terminal.shellId()).toBe(shell);
  });

  it.each([
    ['the browser’s network', { http: true, tunnel: false }],
    ['the agent’s network', { http: false, tunnel: true }],
    ['both networks', { http: true, tunnel: true }],
  ])('when %s is gone for half a minute', async (_, { http, tunnel }) => {
    const terminal = await openTools();
    const shell = await terminal.shellId();
    const counter = await Counter.start(terminal, 400, 0.1);
    await counter.waitFor(20);
    if (http) suite.stack.http.cut();
    if (tunnel) suite.stack.tunnel.cut();
    const until = Date.now() + CUT_MS;
    await terminal.type('echo typed-$((6*7))\n');
    if (http) await terminal.waitForStatus('Reconnecting');
    else await terminal.waitForStatus('Agent does not answer', 15_000);
    await eventually('the end of the cut', () => (Date.now() >= until ? true : null), CUT_MS + 1_000);
    suite.stack.http.mend();
    suite.stack.tunnel.mend();
    await counter.finish(60_000);
    await terminal.waitForRow(/^typed-42$/);
    expect((await terminal.rows()).filter((row) => row === 'typed-42')).toHaveLength(1);
    expect(await terminal.shellId()).toBe(shell);
  });

  it('when the agent’s packets come from another address', async () => {
    const terminal = await openTools();
    const shell = await terminal.shellId();
    const counter = await Counter.start(terminal, 100, 0.05);
    await counter.waitFor(20);
    suite.stack.tunnel.changeAddresses();
    await counter.finish();
    expect(await terminal.shellId()).toBe(shell);
  });

  it('when the device says that it is offline, which the page shows', async () => {
    const terminal = await openTools();
    const shell = await terminal.shellId();
    await terminal.page.context().setOffline(true);
    suite.stack.http.sever();
    await terminal.waitForStatus('Offline');
    await terminal.page.getByText('Your device is offline.').waitFor();
    await terminal.page.context().setOffline(false);
    await terminal.waitForStatus('Connected');
    expect(await terminal.shellId()).toBe(shell);
  });

  it('when the relay is killed in the middle of output and of typing', async () => {
    const terminal = await openTools();
    const shell = await terminal.shellId();
    for (let round = 0; round < 3; round++) {
      const counter = await Counter.start(terminal, 200, 0.02);
      await counter.waitFor(30);
      const typing = terminal.type(`echo typed-${round}-$((6*7))\n`);
      await suite.stack.killRelay();
      await typing;
      await terminal.waitForStatus('Reconnecting');
      await suite.stack.startRelay();
      await terminal.waitForStatus('Connected');
      await counter.finish();
      await terminal.waitForRow(new RegExp(`^typed-${round}-42$`));
      expect((await terminal.rows()).filter((row) => row === `typed-${round}-42`)).toHaveLength(1);
    }
    expect(await terminal.shellId()).toBe(shell);
  });
});

/** A program in the terminal that counts aloud, so that a gap or a double is seen. Its numbers must fit the screen. */
class Counter {
  readonly #terminal: TerminalWindow;
  readonly #last: number;

  private constructor(terminal: TerminalWindow, last: number) {
    this.#terminal = terminal;
    this.#last = last;
  }

  static async start(terminal: TerminalWindow, last: number, pauseSeconds: number): Promise<Counter> {
    const loop = `i=0; while [ $i -lt ${last} ]; do i=$((i+1)); printf '%04d,' $i; sleep ${pauseSeconds}; done; echo .`;
    await terminal.type(`clear; ${loop}\n`);
    return new Counter(terminal, last);
  }

  /** Waits until it has come this far. */
  async waitFor(number: number): Promise<void> {
    const text = `${String(number).padStart(4, '0')},`;
    await eventually(`the count of ${number}`, async () =>
      (await this.#terminal.unwrapped()).includes(text) ? true : null,
    );
  }

  /** Waits for the end and judges the whole count. */
  async finish(deadlineMs = 60_000): Promise<void> {
    await this.#terminal.waitForRow(/\d{4},\.$|^\.$/, deadlineMs);
    await this.#terminal.waitForPrompt();
    // What is typed meanwhile is echoed in between; it has no number followed by a comma.
    const counted = [...(await this.#terminal.unwrapped()).matchAll(/(\d{4}),/g)].map((match) => Number(match[1]));
    expect(counted).toEqual(Array.from({ length: this.#last }, (_, index) => index + 1));
  }
}

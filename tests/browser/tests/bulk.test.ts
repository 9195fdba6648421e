import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { eventually } from '../src/eventually';
import { ReceivedOutput } from '../src/received-output';
import { setUp } from '../src/suite';
import type { TerminalWindow } from '../src/terminal-window';

const suite = setUp();

const MEBIBYTE = 1024 * 1024;

/** Counting this far writes somewhat more than 10 MiB. */
const LAST_NUMBER = 1_500_000;

/**
 * How long the prompt may take to come back after Ctrl-C. A second is what is wanted, and what a quiet machine shows (the
 * test prints it); a noisy one must not turn the suite red.
 */
const INTERRUPT_DEADLINE_MS = 20_000;

/**
 * Most that may come of a flood after Ctrl-C, before the prompt: a window that was under way, and the ends of what was
 * overtaken. In the sockets between here and the program there are megabytes.
 */
const MOST_RECEIVED_BYTES = 384 * 1024;

const sha256 = (data: string | Buffer) => createHash('sha256').update(data).digest('hex');

describe('a paste', () => {
  it('of 1 MiB arrives intact, after a question about its many lines', async () => {
    const terminal = await (await suite.person()).openTerminal('default', 'tools');
    const text = linesOf(MEBIBYTE);
    await terminal.type('cat > /tmp/pasted.txt\n');
    await paste(terminal, text);
    await terminal.page.getByRole('dialog').getByRole('button', { name: 'Paste' }).click();
    // Not the echo is waited for: a terminal drops echoes when input comes faster than it can show them.
    await terminal.press('Control+D');
    await terminal.waitForPrompt(90_000);
    const [sum = ''] = await terminal.run('sha256sum < /tmp/pasted.txt; wc -c < /tmp/pasted.txt');
    expect(sum.split(' ')[0]).toBe(sha256(text));
  });

  it('goes straight to a shell that brackets pastes, and runs nothing by itself', async () => {
    const terminal = await (await suite.person()).openTerminal('default', 'tools');
    await terminal.type('bind "set enable-bracketed-paste on"; clear\n');
    await terminal.waitForPrompt();
    await paste(terminal, 'echo one-$((1+1))\necho two-$((1+1))\n');
    await terminal.waitForRow(/echo two-/);
    expect(await terminal.rows()).not.toContain('one-2');
    await terminal.press('Enter');
    await terminal.waitForRow(/^two-2$/);
  });
});

describe('output', () => {
  it('of 10 MiB arrives intact and is shown to its end', async () => {
    const window = await suite.person();
    const received = new ReceivedOutput(window.page);
    const terminal = await window.openTerminal('default', 'tools');
    await terminal.type(`clear; echo begin-$((6*7)); seq 1 ${LAST_NUMBER}; echo end-$((6*7))\n`);
    await terminal.waitForRow(/^end-42$/, 100_000);
    const expected = numbers(LAST_NUMBER);
    expect(expected.length).toBeGreaterThan(10 * MEBIBYTE);
    expect(await terminal.rows()).toContain(String(LAST_NUMBER));
    const all = received.bytes().toString('latin1');
    const body = all.slice(all.indexOf('begin-42\r\n') + 'begin-42\r\n'.length, all.lastIndexOf('end-42'));
    expect(received.gaps).toEqual([]);
    expect(sha256(body)).toBe(sha256(expected.replaceAll('\n', '\r\n')));
  });
});

describe('Ctrl-C', () => {
  it.each([
    ['as fast as the browser can', 1],
    ['six times slower', 6],
  ])('stops a flood that is drawn %s, and the prompt is back', async (_, slowness) => {
    const window = await suite.person();
    const received = new ReceivedOutput(window.page);
    const terminal = await window.openTerminal('default', 'tools');
    const devtools = await terminal.page.context().newCDPSession(terminal.page);
    await devtools.send('Emulation.setCPUThrottlingRate', { rate: slowness });
    await terminal.type('yes\n');
    await eventually('a screen full of y', async () =>
      (await terminal.rows()).filter((row) => row === 'y').length > 20 ? true : null,
    );
    const began = await terminal.page.evaluate(() => performance.now());
    await terminal.press('Control+C');
    const ended = await terminal.page.waitForFunction(
      () => {
        const rows = [...document.querySelectorAll('.xterm-rows > div')].map((row) => row.textContent.trim());
        const last = rows.findLast((row) => row !== '');
        return last?.endsWith('pod>') === true ? performance.now() : null;
      },
      null,
      { polling: 10 },
    );
    const tookMs = Number(await ended.jsonValue()) - began;
    await devtools.send('Emulation.setCPUThrottlingRate', { rate: 1 });
    const came = received.sinceInterrupt;
    console.log(
      `the prompt is back after ${Math.round(tookMs)} ms (browser slowed ${slowness} times); ` +
        `${Math.round(came / 1024)} KiB came after Ctrl-C`,
    );
    expect(tookMs).toBeLessThan(INTERRUPT_DEADLINE_MS);
    expect(came).toBeLessThan(MOST_RECEIVED_BYTES);
    expect(await terminal.run('echo alive')).toEqual(['alive']);
  });
});

/** Pastes by the keyboard, from the clipboard. */
async function paste(terminal: TerminalWindow, text: string): Promise<void> {
  await terminal.page.evaluate((content) => navigator.clipboard.writeText(content), text);
  await terminal.press('Control+Shift+V');
}

/** Numbered lines that fit a terminal's line discipline, of exactly this size. */
function linesOf(bytes: number): string {
  const line = (index: number) =>
    `${String(index).padStart(8, '0')} the quick brown fox jumps over the lazy dog, ${index % 7}\n`;
  const count = Math.ceil(bytes / line(0).length);
  return `${Array.from({ length: count }, (_, index) => line(index))
    .join('')
    .slice(0, bytes - 1)}\n`;
}

/** The output of `seq`. */
function numbers(last: number): string {
  return Array.from({ length: last }, (_, index) => `${index + 1}\n`).join('');
}

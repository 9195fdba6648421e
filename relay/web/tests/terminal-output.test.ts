import { Terminal } from '@xterm/headless';
import { describe, expect, it } from 'vitest';
import { TerminalOutput } from '../src/lib/terminal-output';

const bytes = (text: string) => new TextEncoder().encode(text);

/** Everything that asks a terminal for an answer. */
const QUESTIONS = '\x1b[6n\x1b[?6n\x1b[5n\x1b[c\x1b[>c\x1b[?1$p\x1b[4$p\x1bP$qm\x1b\\';

describe('terminal output', () => {
  it('answers the questions of live output', async () => {
    const { output, answers } = setUp();
    await new Promise<void>((done) => output.write(bytes(QUESTIONS), done));
    expect(answers).toHaveLength(8);
  });

  it('answers none of the questions of a restored screen, and those after it', async () => {
    const { output, answers } = setUp();
    const restored = new Promise<void>((done) => output.restore(bytes(QUESTIONS), done));
    const live = new Promise<void>((done) => output.write(bytes('\x1b[6n'), done));
    await Promise.all([restored, live]);
    expect(answers).toEqual(['\x1b[1;1R']);
  });

  it('lets keys pass while a screen is restored', async () => {
    const { output, terminal, answers } = setUp();
    const restored = new Promise<void>((done) => output.restore(bytes('screen'), done));
    for (const key of ['ls\r', '\x1b[A', '\x1b', '\x1bOP', '\x1b[200~text\x1b[201~', '\x03']) terminal.input(key);
    await restored;
    expect(answers).toEqual(['ls\r', '\x1b[A', '\x1b', '\x1bOP', '\x1b[200~text\x1b[201~', '\x03']);
  });

  it('replaces the screen, also in the middle of a sequence and of a character', async () => {
    const { output, terminal } = setUp();
    output.write(bytes('old text\x1b]0;half a title'), () => undefined);
    output.write(Uint8Array.of(0xe2, 0x82), () => undefined);
    await new Promise<void>((done) => output.restore(bytes('new'), done));
    expect(lineOf(terminal, 0)).toBe('new');
  });

  it('puts a character together that arrives in two parts', async () => {
    const { output, terminal } = setUp();
    output.write(Uint8Array.of(0xe2), () => undefined);
    await new Promise<void>((done) => output.write(Uint8Array.of(0x82, 0xac), done));
    expect(lineOf(terminal, 0)).toBe('€');
  });
});

function setUp() {
  const terminal = new Terminal({ cols: 40, rows: 5, allowProposedApi: true });
  const output = new TerminalOutput(terminal);
  const answers: string[] = [];
  terminal.onData((data) => {
    if (output.admits(data)) answers.push(data);
  });
  return { terminal, output, answers };
}

function lineOf(terminal: Terminal, row: number): string {
  return terminal.buffer.active.getLine(row)?.translateToString(true) ?? '';
}

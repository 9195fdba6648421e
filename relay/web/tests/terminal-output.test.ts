import { Terminal } from '@xterm/headless';
import { describe, expect, it } from 'vitest';
import { KEPT_LINES, shortened } from '../src/lib/shortened';
import { TerminalOutput } from '../src/lib/terminal-output';

const bytes = (text: string) => new TextEncoder().encode(text);

/** Everything that asks a terminal for an answer. */
const QUESTIONS = '\x1b[6n\x1b[?6n\x1b[5n\x1b[c\x1b[>c\x1b[?1$p\x1b[4$p\x1bP$qm\x1b\\';

describe('terminal output', () => {
  it('answers the questions of live output', async () => {
    const { output, answers } = setUp();
    await new Promise<void>((done) => output.write(bytes(QUESTIONS), 'wanted', done));
    expect(answers).toHaveLength(8);
  });

  it('answers none of the questions of a restored screen, and those after it', async () => {
    const { output, answers } = setUp();
    const restored = new Promise<void>((done) => output.restore(bytes(QUESTIONS), done));
    const live = new Promise<void>((done) => output.write(bytes('\x1b[6n'), 'wanted', done));
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
    output.write(bytes('old text\x1b]0;half a title'), 'wanted', () => undefined);
    output.write(Uint8Array.of(0xe2, 0x82), 'wanted', () => undefined);
    await new Promise<void>((done) => output.restore(bytes('new'), done));
    expect(lineOf(terminal, 0)).toBe('new');
  });

  it('puts a character together that arrives in two parts', async () => {
    const { output, terminal } = setUp();
    output.write(Uint8Array.of(0xe2), 'wanted', () => undefined);
    await new Promise<void>((done) => output.write(Uint8Array.of(0x82, 0xac), 'wanted', done));
    expect(lineOf(terminal, 0)).toBe('€');
  });

  it('hands nothing over while it is held, and then all at once; a restored screen does not wait', () => {
    const written: (Uint8Array | string)[] = [];
    const output = new TerminalOutput({
      write: (data, done = () => undefined) => {
        written.push(data);
        done();
      },
    });
    output.hold();
    output.write(bytes('a'), 'wanted', () => undefined);
    output.write(bytes('b'), 'wanted', () => undefined);
    expect(written).toEqual([]);
    output.release();
    expect(written).toEqual([bytes('ab')]);
    output.hold();
    output.write(bytes('c'), 'wanted', () => undefined);
    output.restore(bytes('screen'), () => undefined);
    expect(written.slice(1)).toEqual([bytes('c'), '\x1bc', bytes('screen')]);
  });

  it('draws of a flood that an interrupt has overtaken only the end, and the prompt', () => {
    const written: number[] = [];
    const pending: (() => void)[] = [];
    const output = new TerminalOutput({
      write: (data, done = () => undefined) => {
        written.push(data.length);
        pending.push(done);
      },
    });
    let end = 0;
    const flood = bytes('y\r\n'.repeat(10_000));
    const write = (urgency: 'wanted' | 'overtaken') => {
      const at = (end += flood.length);
      output.write(flood, urgency, () => {
        rendered = at;
      });
    };
    let rendered = 0;
    write('wanted');
    for (let piece = 0; piece < 20; piece++) write('overtaken');
    write('wanted');
    pending.shift()?.();
    pending.shift()?.();
    expect(rendered).toBe(21 * flood.length);
    expect(written[1]).toBeLessThan(20_000);
    expect(written.slice(2)).toEqual([flood.length]);
  });
});

describe('a flood that is shortened', () => {
  const flood = (line: string) => bytes(`half a line\r\n${line.repeat(Math.ceil(100_000 / line.length))}pod> `);
  const drawn = async (data: Uint8Array) => {
    const { terminal } = setUp();
    await new Promise<void>((done) => {
      terminal.write(data, done);
    });
    const buffer = terminal.buffer.active;
    const cells = [...Array(5).keys()].map((row) => lineOf(terminal, buffer.baseY + row));
    const pen = buffer
      .getLine(buffer.baseY + 4)
      ?.getCell(0)
      ?.getFgColor();
    return { cells, cursor: [buffer.cursorX, buffer.cursorY], pen };
  };

  it.each([
    ['plain', 'y\r\n'],
    ['of several bytes a character', 'é€\r\n'],
    ['in colours', 'red\x1b[31m\r\n'.repeat(1) + 'a\r\n'.repeat(200)],
  ])('leaves the same screen: %s', async (_, line) => {
    const whole = flood(line);
    const short = shortened(whole);
    expect(short?.length).toBeLessThan(24_000);
    expect(await drawn(short ?? whole)).toEqual(await drawn(whole));
    expect(new TextDecoder().decode(short ?? undefined)).toMatch(/… \d+ KiB are not drawn; the recording has them …/);
  });

  it.each([
    ['the cursor moves', 'a\x1b[2A\r\n'],
    ['a mode changes', '\x1b[?1049h\r\n'],
    ['a character set changes', 'a\x0e\r\n'],
    ['a title is set', '\x1b]0;title\x07\r\n'],
    ['there are no lines', 'x'],
    ['every character has a colour', '\x1b[31mx\x1b[32my\r\n'],
  ])('is none where %s', (_, line) => {
    expect(shortened(flood(line))).toBeNull();
  });

  it('keeps no more lines than a screen can have', () => {
    const short = shortened(bytes('y\r\n'.repeat(30_000)));
    expect(new TextDecoder().decode(short ?? undefined).split('\n')).toHaveLength(KEPT_LINES + 3);
  });

  it('is none where it is short', () => {
    expect(shortened(bytes('y\r\n'.repeat(1_000)))).toBeNull();
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

import { describe, expect, it } from 'vitest';
import { eventually } from '../src/eventually';
import { setUp } from '../src/suite';

const suite = setUp();

const toolsTerminal = async () => (await suite.person()).openTerminal('default', 'tools');

describe('a terminal', () => {
  it('takes typing, with corrections', async () => {
    const terminal = await toolsTerminal();
    await terminal.type('clear; echo wrogn');
    await terminal.press('Backspace');
    await terminal.press('Backspace');
    await terminal.type('ng; echo done\n');
    await terminal.waitForRow(/^done$/);
    expect(await terminal.rows()).toContain('wrong');
  });

  it('shows colours', async () => {
    const terminal = await toolsTerminal();
    await terminal.run(`printf '\\033[31mred\\033[0m \\033[1;32mgreen\\033[0m \\033[38;5;208morange\\033[0m\\n'`);
    const words = ['red', 'green', 'orange', 'pod>'];
    const colours = words.map((word) =>
      terminal.page
        .locator('.xterm-rows span')
        .getByText(word, { exact: true })
        .evaluate((span) => getComputedStyle(span).color),
    );
    expect(new Set(await Promise.all(colours)).size).toBe(words.length);
    const green = terminal.page.locator('.xterm-rows span').getByText('green', { exact: true });
    expect(await green.evaluate((span) => getComputedStyle(span).fontWeight)).toBe('700');
  });

  it('tells the shell its size, and every new one', async () => {
    const terminal = await toolsTerminal();
    for (const viewport of [
      { width: 1280, height: 800 },
      { width: 900, height: 500 },
      { width: 1500, height: 950 },
    ]) {
      await terminal.page.setViewportSize(viewport);
      await eventually(`stty size follows ${viewport.width} by ${viewport.height}`, async () => {
        const [size = ''] = await terminal.run('stty size');
        const [rows, columns] = size.split(' ').map(Number);
        const ruler = (await terminal.run('printf "%*s|\\n" $(($(tput cols)-1)) x')).length;
        return rows === (await terminal.rows()).length && ruler === 1 && (columns ?? 0) > viewport.width / 12
          ? true
          : null;
      });
    }
  });

  it('puts a character together whose bytes come apart', async () => {
    const terminal = await toolsTerminal();
    const rows = await terminal.run(
      `printf '\\342'; sleep 0.3; printf '\\202'; sleep 0.3; printf '\\254 \\346\\274\\242\\n'`,
    );
    expect(rows).toEqual(['€ 漢']);
  });

  it('takes text of any language', async () => {
    const terminal = await toolsTerminal();
    await terminal.type('clear; echo begin-$((6*7)); cat\n');
    await terminal.waitForRow(/^begin-42$/);
    await terminal.page.keyboard.insertText('grüße €5 漢字');
    await terminal.press('Enter');
    await eventually('the text twice: typed and repeated', async () =>
      (await terminal.rows()).filter((row) => row === 'grüße €5 漢字').length === 2 ? true : null,
    );
    await terminal.press('Control+D');
    await terminal.waitForPrompt();
  });

  it('runs vim', async () => {
    const terminal = await toolsTerminal();
    await terminal.type('rm -f /tmp/poem.txt; vim -u NONE /tmp/poem.txt\n');
    await terminal.waitForRow(/^~$/);
    await terminal.type('ifirst line\nsecond line');
    await terminal.press('Escape');
    await terminal.type('kx:wq\n');
    await terminal.waitForPrompt();
    expect(await terminal.run('cat /tmp/poem.txt')).toEqual(['first lin', 'second line']);
  });

  it('runs less, and gives the screen back afterwards', async () => {
    const terminal = await toolsTerminal();
    await terminal.type('clear; echo before; seq 1 500 | less\n');
    await terminal.waitForRow(/^1$/);
    await terminal.press('PageDown');
    await terminal.press('Shift+G');
    await terminal.waitForRow(/^500$/);
    await terminal.type('q');
    await terminal.waitForPrompt();
    expect(await terminal.rows()).toContain('before');
  });

  it('runs top', async () => {
    const terminal = await toolsTerminal();
    await terminal.type('top\n');
    await terminal.waitForRow(/load average/);
    await terminal.waitForRow(/PID/);
    await terminal.type('q');
    await terminal.waitForPrompt();
  });

  it('finds text that has scrolled away', async () => {
    const terminal = await toolsTerminal();
    await terminal.type('clear; echo needle-$((40+2)); seq 1 300\n');
    await terminal.waitForRow(/^300$/);
    await terminal.press('Control+Shift+F');
    await terminal.page.getByRole('textbox', { name: 'Search in the terminal' }).fill('needle-42');
    await terminal.waitForRow(/^needle-42$/);
    await terminal.page.getByText('1 of 1').waitFor();
    await terminal.press('Escape');
    expect(await terminal.run('echo focus')).toEqual(['focus']);
  });

  it('copies by Ctrl+Shift+C', async () => {
    const terminal = await toolsTerminal();
    await terminal.run('echo copy-this-word');
    const word = terminal.page.locator('.xterm-rows > div').getByText('copy-this-word', { exact: true });
    const box = await word.boundingBox();
    if (box === null) throw new Error('the word is not shown');
    // The screen lies over its rows, so the mouse goes to the place and not to the element.
    await terminal.page.mouse.dblclick(box.x + box.width / 2, box.y + box.height / 2);
    await terminal.press('Control+Shift+C');
    const copied = () => terminal.page.evaluate(() => navigator.clipboard.readText());
    await eventually('the clipboard', async () => ((await copied()) === 'copy-this-word' ? true : null));
  });

  it('lets the keyboard out again', async () => {
    const terminal = await toolsTerminal();
    await terminal.press('Control+Shift+L');
    const focused = terminal.page.locator(':focus');
    expect(await focused.getAttribute('aria-label')).toBe('Search in the terminal');
  });

  it('survives a change of renderer, font size and theme', async () => {
    const terminal = await toolsTerminal();
    await terminal.run('echo here');
    await terminal.page.getByRole('button', { name: 'Terminal settings' }).click();
    await terminal.page.getByRole('button', { name: 'Larger' }).click();
    await terminal.page.getByLabel('Renderer').selectOption('auto');
    await terminal.page.getByLabel('Renderer').selectOption('dom');
    await terminal.press('Escape');
    await terminal.page.getByRole('button', { name: /^Theme/ }).click();
    await terminal.page.locator('.xterm-screen').click();
    expect(await terminal.run('echo still')).toEqual(['still']);
  });

  it('starts the shell that a person prefers, and another where the container has none such', async () => {
    const person = await suite.person();
    const terminal = await person.openTerminal('default', 'tools');
    await terminal.page.getByRole('button', { name: 'Terminal settings' }).click();
    await terminal.page.getByLabel('Shell of new terminals').selectOption('zsh');
    const preferred = await person.openTerminal('default', 'tools');
    expect(await preferred.run('echo ${ZSH_VERSION:+zsh}')).toEqual(['zsh']);
    const plain = await person.openTerminal('default', 'bb');
    expect(await plain.run('echo ${ZSH_VERSION:-other}')).toEqual(['other']);
  });
});

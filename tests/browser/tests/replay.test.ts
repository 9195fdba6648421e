import { readFile, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import type { ConsoleWindow } from '../src/console';
import { eventually } from '../src/eventually';
import { Look } from '../src/look';
import { ReplayWindow } from '../src/replay-window';
import { setUp } from '../src/suite';

const suite = setUp();

/** The session that every test looks at: a few commands, some silence, colours, a screenful, an end. */
let session: string;

beforeAll(async () => {
  const window = await suite.person();
  const terminal = await window.openTerminal('default', 'tools');
  session = window.page.url().split('/').at(-1) ?? '';
  await terminal.type('echo first-$((40+2))\n');
  await terminal.waitForRow(/^first-42$/);
  await terminal.waitForPrompt();
  // Silence that a replay may skip.
  await terminal.type("sleep 8; printf 'after the \\033[31msilence\\033[m\\n'\n");
  await terminal.waitForRow(/^after the silence$/);
  await terminal.waitForPrompt();
  await terminal.type('seq 1000 1100; echo last-$((40+2))\n');
  await terminal.waitForRow(/^last-42$/);
  await terminal.waitForPrompt();
  await terminal.type('exit\n');
  await terminal.waitForStatus('Ended');
  await waitUntilComplete(session);
});

async function waitUntilComplete(id: string): Promise<void> {
  await eventually('the recording is complete', async () => {
    const facts = (await suite.stack.call('GET', `/sessions/${id}/recording`)) as { state?: string };
    return facts.state === 'complete' ? true : null;
  });
}

const open = async () => ReplayWindow.open(await suite.person(), session);

describe('a replay', () => {
  it('plays by itself to the end, without its silence', async () => {
    const began = Date.now();
    const replay = await open();
    await replay.waitForRow(/^first-42$/);
    await replay.waitForRow(/^after the silence$/);
    await replay.waitForEnd();
    await replay.waitForRow(/^last-42$/);
    expect(await replay.duration()).toBeGreaterThan(8_000);
    expect(await replay.position()).toBe(await replay.duration());
    expect(Date.now() - began).toBeLessThan(60_000);
  });

  it('stands still while it is paused, and goes on with its silence where that is wanted', async () => {
    const replay = await open();
    await replay.waitForRow(/^first-42$/);
    await replay.page.getByRole('checkbox', { name: 'Skip idle time' }).uncheck();
    await replay.pause();
    const stood = await replay.position();
    const rows = await replay.rows();
    await replay.page.waitForTimeout(1_500);
    expect(await replay.position()).toBe(stood);
    expect(await replay.rows()).toEqual(rows);
    await replay.page.getByRole('combobox', { name: 'Speed' }).selectOption('4×');
    await replay.play();
    await eventually('the silence is played', async () => ((await replay.position()) > stood + 3_000 ? true : null));
    await replay.waitForRow(/^after the silence$/);
  });

  it('goes to any place on its time line, forward and back', async () => {
    const replay = await open();
    await replay.waitForRow(/^first-42$/);
    await replay.pause();
    await replay.seek(await replay.duration());
    await replay.waitForRow(/^last-42$/);
    expect(await replay.rows()).toContain('1100');
    await replay.seek(0);
    await eventually('the beginning', async () => ((await replay.rows()).join('').includes('42') ? null : true));
    await replay.page.keyboard.press('End');
    await replay.waitForRow(/^last-42$/);
    await replay.page.locator('h1').click();
    await replay.page.keyboard.press('Home');
    await eventually('the beginning again', async () => ((await replay.position()) < 100 ? true : null));
    await replay.page.keyboard.press(' ');
    await replay.page.getByRole('button', { name: 'Pause', exact: true }).waitFor();
  });

  it('finds what was on the screen, also where it only scrolled past, and goes there', async () => {
    const replay = await open();
    await replay.waitForRow(/^first-42$/);
    await replay.search('AFTER THE SILENCE');
    expect((await replay.hits()).at(-1)).toBe('after the silence');
    await replay.page.getByRole('list', { name: 'Hits' }).getByRole('button').last().click();
    await replay.waitForRow(/^after the silence$/);
    expect((await replay.rows()).join('\n')).not.toContain('last-42');
    await replay.search('1042');
    expect(await replay.hits()).toEqual(['1042']);
    await replay.search('was never there');
    await replay.page.getByText('Nothing found').waitFor();
  });

  it('lists the commands and goes from one to the next', async () => {
    const replay = await open();
    await replay.waitForRow(/^first-42$/);
    await replay.pause();
    const commands = replay.page.getByRole('region', { name: /^Commands/ }).getByRole('button');
    await commands.filter({ hasText: 'seq 1000 1100' }).click();
    await eventually('the command', async () => ((await replay.position()) > 8_000 ? true : null));
    const at = await replay.position();
    await replay.page.getByRole('button', { name: 'Previous command' }).click();
    await eventually('the command before', async () => ((await replay.position()) < at - 5_000 ? true : null));
    await replay.page.getByRole('button', { name: 'Next command' }).click();
    await eventually('the command behind', async () => ((await replay.position()) >= at - 500 ? true : null));
  });

  it('downloads as a file that the asciinema player plays', async () => {
    const window = await suite.person();
    const replay = await ReplayWindow.open(window, session);
    const downloading = replay.page.waitForEvent('download');
    await replay.page.getByRole('button', { name: 'Download' }).click();
    const download = await downloading;
    expect(download.suggestedFilename()).toBe(`podlatch-${session}.cast`);
    const cast = await readFile(await download.path(), 'utf8');
    expect(JSON.parse(cast.slice(0, cast.indexOf('\n')))).toMatchObject({ version: 3 });
    const played = await playInAsciinema(window, cast);
    expect(played).toContain('last-42');
    expect(played).toContain('1100');
  });

  it.each([
    ['light', 'desk', { width: 1280, height: 800 }],
    ['dark', 'desk', { width: 1280, height: 800 }],
    ['light', 'phone', { width: 390, height: 844 }],
  ] as const)(
    'is readable in %s on a %s, for eyes and for assistive technology',
    async (colorScheme, device, viewport) => {
      const window = await suite.person({ colorScheme, viewport });
      const replay = await ReplayWindow.open(window, session);
      await replay.waitForEnd();
      await replay.search('silence');
      await replay.hits();
      await replay.page.getByRole('list', { name: 'Hits' }).getByRole('button').last().click();
      await replay.waitForRow(/^after the silence$/);
      await new Look(window, `${colorScheme}-${device}`).at('replay');
    },
  );

  it('and its download are in the audit log', async () => {
    const window = await suite.person();
    const actions = ['replay', 'recording_download'];
    for (const action of actions) {
      const answer = await window.page.request.get(`/api/v1/audit-events?action=${action}&session=${session}`);
      expect(answer.ok()).toBe(true);
      const { items } = (await answer.json()) as { items: { action: string; actor: { kind: string } }[] };
      expect(items[0]).toMatchObject({ action, actor: { kind: 'user' } });
    }
  });

  it('of a session that still runs says so, and follows it', async () => {
    const window = await suite.person();
    const terminal = await window.openTerminal('default', 'bb');
    const running = window.page.url().split('/').at(-1) ?? '';
    await terminal.run('echo before-$((40+2))');
    const watching = await suite.person();
    const replay = await ReplayWindow.open(watching, running);
    await watching.page.getByRole('status').getByText('This session still runs.').waitFor();
    await replay.waitForRow(/^before-42$/);
    await terminal.type('clear; echo after-$((40+2))\n');
    await replay.waitForRow(/^after-42$/, 60_000);
    await terminal.type('exit\n');
    await terminal.waitForStatus('Ended');
  });

  it('that was changed in the storage says that it is damaged, and shows what can be trusted', async () => {
    const window = await suite.person();
    const terminal = await window.openTerminal('default', 'bb');
    const harmed = window.page.url().split('/').at(-1) ?? '';
    await terminal.run('echo evidence-$((40+2))');
    await terminal.type('exit\n');
    await terminal.waitForStatus('Ended');
    await waitUntilComplete(harmed);
    const folder = await suite.stack.recordingFolder(harmed);
    const segment = join(folder, '00000001.cast');
    await writeFile(segment, (await readFile(segment, 'utf8')).replaceAll('evidence-42', 'innocent-42'));
    await window.page.goto(`/sessions/${harmed}/replay`);
    await window.page.getByRole('alert').getByText('Segment 1 is not what was recorded').waitFor();
    await new Look(window, 'light-desk').at('replay-damaged');
    expect(await window.page.locator('body').innerText()).not.toContain('innocent-42');
    await rm(join(folder, 'manifest.jsonl'));
    await window.page.reload();
    await window.page.getByRole('alert').getByText('This recording is damaged.').waitFor();
  });

  it('whose end is missing says that it is cut off', async () => {
    const window = await suite.person();
    // The relay’s own answer, but for the state: what it takes to cut a recording off is the Rust suite's.
    await window.page.route(`**/api/v1/sessions/${session}/replays`, async (route) => {
      const response = await route.fetch();
      const { token, recording } = (await response.json()) as { token: string; recording: object };
      const cut = { ...recording, state: 'truncated', message: 'Its end was never stored.' };
      await route.fulfill({ response, json: { token, recording: cut } });
    });
    const replay = await ReplayWindow.open(window, session);
    await window.page.getByRole('status').getByText('This recording is cut off.').waitFor();
    await window.page.getByText('Its end was never stored.').waitFor();
    await replay.waitForRow(/^first-42$/);
    await new Look(window, 'light-desk').at('replay-truncated');
  });

  it('of a session that does not exist says so', async () => {
    const window = await suite.person();
    await window.page.goto('/sessions/01890000-0000-7000-8000-000000000000/replay');
    await window.page.getByText('This recording cannot be shown').waitFor();
  });
});

const player = (name: string) => join(createRequire(import.meta.url).resolve('asciinema-player'), '..', 'bundle', name);

/** Plays a file in the asciinema player to its end, and returns the lines of its screen. */
async function playInAsciinema(window: ConsoleWindow, cast: string): Promise<string[]> {
  const page = await window.context.newPage();
  await page.goto('about:blank');
  await page.setContent('<div id="player"></div>');
  await page.addStyleTag({ path: player('asciinema-player.css') });
  await page.addScriptTag({ path: player('asciinema-player.min.js') });
  await page.evaluate((data) => {
    const { AsciinemaPlayer } = globalThis as unknown as {
      AsciinemaPlayer: {
        create: (
          source: { data: string },
          element: Element | null,
          options: object,
        ) => { addEventListener: (event: string, listener: () => void) => void };
      };
    };
    const options = { autoPlay: true, speed: 16, idleTimeLimit: 1 };
    const shown = AsciinemaPlayer.create({ data }, document.querySelector('#player'), options);
    shown.addEventListener('ended', () => document.body.setAttribute('data-ended', ''));
  }, cast);
  await page.locator('body[data-ended]').waitFor({ timeout: 60_000 });
  const lines = await page.locator('.ap-line').allTextContents();
  await page.close();
  return lines.map((line) => line.trimEnd());
}

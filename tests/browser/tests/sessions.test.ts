import type { Page } from 'playwright-core';
import { describe, expect, it } from 'vitest';
import { eventually } from '../src/eventually';
import { Look } from '../src/look';
import { CLUSTER } from '../src/stack';
import { setUp } from '../src/suite';
import { TerminalWindow } from '../src/terminal-window';

const suite = setUp();

const OWNER = 'ada@example.com';

const sessionOf = (address: string) => /\/s\/([^/]+)$/.exec(new URL(address).pathname)?.[1] ?? '';

/** The row of one session. */
const row = (page: Page, session: string) =>
  page.getByRole('row').filter({ has: page.locator(`a[href="/sessions/${session}"]`) });

/** Opens a session, leaves it running, and returns its id. */
async function runningSession(pod = 'bb'): Promise<string> {
  const window = await suite.person();
  await window.openTerminal('default', pod);
  const session = sessionOf(window.page.url());
  await window.page.goto('about:blank');
  return session;
}

describe('the list of sessions', () => {
  it('shows a live one with who, where and from where; leads back into it; and ends it when confirmed', async () => {
    const session = await runningSession();
    const { page } = await suite.person();
    await page.getByRole('link', { name: 'Sessions', exact: true }).click();
    const mine = row(page, session);
    await mine.getByText('Active').waitFor();
    for (const fact of [OWNER, '127.0.0.1', CLUSTER, 'bb / main']) await mine.getByText(fact).first().waitFor();
    await mine.getByRole('link', { name: /^Go to the terminal/ }).click();
    await page.getByRole('heading', { name: 'Terminal in bb / main' }).waitFor();
    expect(sessionOf(page.url())).toBe(session);
    await page.goBack();
    await mine.getByRole('button', { name: /^End the session/ }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Cancel' }).click();
    await mine.getByText('Active').waitFor();
    await mine.getByRole('button', { name: /^End the session/ }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'End session' }).click();
    await mine.getByText('Closed', { exact: true }).waitFor();
    await mine.getByText('You closed this session.').waitFor();
    expect(await mine.getByRole('button').count()).toBe(0);
  });

  it('is a cluster’s too, behind its terminal, and is narrowed by status, user and time', async () => {
    const session = await runningSession();
    const { page } = await suite.person();
    await page.getByRole('link', { name: CLUSTER }).first().click();
    await page.getByRole('link', { name: 'Terminal', exact: true }).click();
    await row(page, session).waitFor();
    await page.getByRole('combobox', { name: 'Status' }).selectOption('Closed');
    await row(page, session).waitFor({ state: 'detached' });
    await page.getByRole('combobox', { name: 'Status' }).selectOption('Active');
    await row(page, session).waitFor();
    await page.getByRole('combobox', { name: 'User' }).selectOption(`Me (${OWNER})`);
    await page.getByRole('combobox', { name: 'Time' }).selectOption('Last hour');
    await eventually('the address', () => (/status=active.*last=1h/.test(page.url()) ? true : null));
    await page.reload();
    await row(page, session).waitFor();
    await page.getByRole('combobox', { name: 'Time' }).selectOption('From … to …');
    await page.getByLabel('to', { exact: true }).fill('2020-01-01T00:00:00');
    await page.getByRole('heading', { name: 'No session matches the filter' }).waitFor();
    await page.getByLabel('From', { exact: true }).fill('2021-01-01T00:00:00');
    await page.getByRole('alert').getByText('The end is before the beginning.').waitFor();
  });
});

describe('a session’s page', () => {
  it('says everything about it, and leads to its events', async () => {
    const session = await runningSession('tools');
    const { page } = await suite.person();
    await page.goto('/sessions');
    await row(page, session).getByRole('link', { name: 'tools / main', exact: true }).click();
    await page.getByRole('heading', { name: 'tools / main' }).waitFor();
    const facts = await page.locator('dl').innerText();
    for (const fact of ['Started', 'Expires', 'Last input', 'private', OWNER, '127.0.0.1', 'Mozilla/5.0', session]) {
      expect(facts).toContain(fact);
    }
    await page.getByRole('link', { name: 'Its audit log' }).click();
    await page.getByRole('row').filter({ hasText: 'Session started' }).waitFor();
    expect(page.url()).toContain(`session=${session}`);
    await page.goBack();
    await page.getByRole('heading', { name: 'tools / main' }).waitFor();
  });

  it('that is nobody’s says so', async () => {
    const { page } = await suite.person();
    await page.goto('/sessions/0199f3a1-0000-7000-8000-000000000001');
    await page.getByRole('heading', { name: 'This session cannot be shown' }).waitFor();
    await page.getByRole('link', { name: 'Back to the sessions' }).click();
    await page.getByRole('heading', { name: 'Sessions', exact: true }).waitFor();
  });
});

describe('a session that is watched', () => {
  it('is shown as it is to somebody with that right, and says so to whoever works in it', async () => {
    const watcher = 'wim@example.com';
    await suite.stack.invite(watcher);
    await suite.stack.call('POST', '/access-rules', {
      name: 'Members watch',
      effect: { allow: {} },
      who: { roles: ['member'] },
      clusters: { names: ['*'] },
      namespaces: ['default'],
      containers: ['*'],
      actions: ['observe'],
    });
    const owner = await suite.person();
    const terminal = await owner.openTerminal('default', 'bb');
    await terminal.run('echo before-$((40 + 2))');
    expect(await owner.page.getByText(/watch(es)?$/).count()).toBe(0);

    const other = await suite.person({ email: watcher });
    await other.page.goto('/sessions');
    await row(other.page, sessionOf(owner.page.url()))
      .getByRole('link', { name: /^Watch .* live$/ })
      .click();
    await other.page.getByText(`You are watching ${OWNER}’s session, read-only.`).waitFor();
    const shown = new TerminalWindow(other);
    await shown.waitForRow(/^before-42$/);
    await owner.page.getByRole('status').getByText('1 person watches').waitFor();
    await new Look(owner, 'sessions').at('watched');
    await terminal.run('echo live-$((40 + 3))');
    await shown.waitForRow(/^live-43$/);
    await new Look(other, 'sessions').at('watching');

    // The keys of whoever watches go nowhere.
    await other.page.locator('.xterm').click();
    await other.page.keyboard.type('echo typed\n');
    expect(await terminal.run('echo after')).toEqual(['after']);
    expect((await shown.rows()).join('\n')).not.toContain('typed');

    await other.page.goto('about:blank');
    await owner.page.getByText('1 person watches').waitFor({ state: 'detached' });
  });
});

describe('a terminal that is over', () => {
  it('leads to its replay', async () => {
    const window = await suite.person();
    const terminal = await window.openTerminal('default', 'bb');
    const session = sessionOf(window.page.url());
    await terminal.type('exit\n');
    await terminal.waitForStatus('Ended');
    await window.page.getByRole('link', { name: 'Watch the replay' }).click();
    await eventually('the replay', () => (window.page.url().endsWith(`/sessions/${session}/replay`) ? true : null));
  });
});

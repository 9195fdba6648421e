import { describe, expect, it } from 'vitest';
import { setUp } from '../src/suite';

const suite = setUp('one', ['--session-max', '40s', '--idle-after', '4s']);

describe('a session whose time runs out', () => {
  it('says so in the terminal, first that it is idle, then how it ended; and nobody can come back to it', async () => {
    const window = await suite.person();
    const { page } = window;
    const terminal = await window.openTerminal('default', 'bb');
    await page.getByText(/^Ends in 0:\d\d$/).waitFor();
    await page.getByRole('status').filter({ hasText: 'This session ends in less than one minute.' }).waitFor();
    await page.getByText('Idle', { exact: true }).waitFor();
    await terminal.press('Enter');
    await page.getByText('Idle', { exact: true }).waitFor({ state: 'detached' });
    const address = page.url();
    await terminal.waitForStatus('Ended', 60_000);
    const said = await page.getByRole('alert').innerText();
    await page.getByRole('link', { name: 'Watch the replay' }).waitFor();
    await page.goto(address);
    await terminal.waitForStatus('Ended');
    expect(await page.getByRole('alert').innerText()).toBe(said);
    await page.goto('/sessions?status=expired');
    await page.getByRole('row').filter({ hasText: 'bb / main' }).getByText('Expired').waitFor();
  });
});

describe('a session in which nobody types', () => {
  it('is closed by the limit of its cluster, and says so where it was and to whoever comes back', async () => {
    const owner = await suite.person();
    await owner.page.goto(`/settings/clusters/${await suite.stack.clusterId()}`);
    const limits = owner.page.getByRole('region', { name: 'Session limits' });
    const close = limits.getByLabel('It is closed without input after');
    await close.fill('soon');
    await limits.getByRole('button', { name: 'Save' }).click();
    await limits.getByText('Write a length of time').waitFor();
    await close.fill('15s');
    await limits.getByRole('button', { name: 'Save' }).click();
    await limits.getByText('Saved. It counts').waitFor();
    await owner.page.reload();
    expect(await close.inputValue()).toBe('15s');

    const window = await suite.person();
    const terminal = await window.openTerminal('default', 'bb');
    await terminal.waitForStatus('Ended', 60_000);
    await window.page.getByRole('alert').getByText('closed because nothing was typed for too long').waitFor();
    const said = await window.page.getByRole('alert').innerText();
    await window.page.reload();
    await terminal.waitForStatus('Ended');
    expect(await window.page.getByRole('alert').innerText()).toBe(said);
  });
});

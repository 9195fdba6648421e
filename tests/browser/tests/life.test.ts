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

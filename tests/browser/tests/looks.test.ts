import { describe, it } from 'vitest';
import { Look } from '../src/look';
import { CLUSTER } from '../src/stack';
import { setUp } from '../src/suite';

const suite = setUp();

const DESK = { width: 1280, height: 800 };
const PHONE = { width: 390, height: 844 };

describe.each(['light', 'dark'] as const)('in %s', (colorScheme) => {
  it.each([
    ['desk', DESK],
    ['phone', PHONE],
  ] as const)('every page is readable on a %s, for eyes and for assistive technology', async (device, viewport) => {
    const window = await suite.person({ colorScheme, viewport });
    const look = new Look(window, `${colorScheme}-${device}`);
    const { page } = window;
    await page.getByRole('link', { name: CLUSTER }).first().waitFor();
    await look.at('clusters');
    await page.getByRole('link', { name: CLUSTER }).first().click();
    await page.getByRole('link', { name: 'shop', exact: true }).waitFor();
    await look.at('namespaces');
    await page.getByRole('link', { name: 'shop', exact: true }).click();
    await page.getByText('2 of 2 ready').waitFor();
    await look.at('pods');
    await window.clickTerminalIcon('web');
    await page.getByRole('dialog').waitFor();
    await look.at('chooser');
    await page.getByRole('dialog').getByRole('button', { name: 'Cancel' }).click();
    const terminal = await window.openTerminal('default', 'tools');
    await terminal.run('ls --color=always -la /');
    await look.at('terminal');
    await page.getByRole('button', { name: 'Terminal settings' }).click();
    await look.at('settings');
    await page.keyboard.press('Escape');
    await page.getByRole('button', { name: 'End session' }).click();
    await look.at('end');
    await page.getByRole('dialog').getByRole('button', { name: 'End session' }).click();
    await terminal.waitForStatus('Ended');
    await look.at('ended');
    await page.goto('/sessions');
    await page.getByRole('link', { name: 'tools / main' }).first().waitFor();
    await look.at('sessions');
    await page.getByRole('link', { name: 'tools / main', exact: true }).first().click();
    await page.getByText('Client address').waitFor();
    await look.at('session');
    await page.goto(`/c/${await suite.stack.clusterId()}/terminal/audit`);
    await page.getByRole('row').filter({ hasText: 'Session ended' }).first().waitFor();
    await look.at('audit');
    await page.getByRole('row').filter({ hasText: 'Session ended' }).first().getByRole('button').click();
    await page.getByRole('dialog').getByText('As JSON').click();
    await look.at('event');
    await window.openNamespace('default');
    await window.clickTerminalIcon('distroless');
    await page.getByRole('alert').waitFor();
    await look.at('refused');
    await page.goto('/');
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.getByRole('heading', { name: 'You are not signed in' }).waitFor();
    await look.at('signed-out');
  });
});

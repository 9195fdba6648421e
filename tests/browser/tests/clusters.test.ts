import { describe, expect, it } from 'vitest';
import type { ConsoleWindow } from '../src/console';
import { Look } from '../src/look';
import { givenKubeconfig } from '../src/settings';
import { setUp } from '../src/suite';
import { TerminalWindow } from '../src/terminal-window';

const suite = setUp('one', ['--allow-public-cluster-addresses', '127.0.0.0/8,::1']);

const NAME = 'berlin';

/** An agent starts, enrols and connects: much for a busy machine. */
const JOIN_DEADLINE_MS = 60_000;

describe('an owner', () => {
  it('adds a private cluster, sees its agent come, and revokes both', async () => {
    const window = await suite.person();
    const { page } = window;
    const look = new Look(window, 'clusters');

    await page.getByRole('link', { name: 'Add a cluster' }).click();
    await page.getByRole('textbox', { name: 'Name', exact: true }).fill(NAME);
    await page.getByRole('textbox', { name: 'Labels' }).fill('env=test');
    await look.at('add-private');
    await page.getByRole('button', { name: 'Add cluster' }).click();
    await page.getByText('Waiting for the agent.').waitFor();
    await look.at('join');

    await suite.stack.join(NAME, await copiedCommand(window));
    await page.getByText(/^Connected: /).waitFor({ timeout: JOIN_DEADLINE_MS });
    await page.getByRole('link', { name: 'Its settings' }).click();
    const agents = page.getByRole('region', { name: 'Agents', exact: true });
    await agents.getByText('Online', { exact: true }).waitFor();
    expect(await page.getByRole('textbox', { name: 'Labels' }).inputValue()).toBe('env=test');
    await look.at('settings');
    await page.setViewportSize({ width: 390, height: 844 });
    await look.at('settings-phone');

    await agents.getByRole('button', { name: /^Revoke / }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Revoke the agent' }).click();
    await agents.getByText('Revoked', { exact: true }).waitFor();
    expect(await agents.getByRole('button', { name: /^Revoke / }).count()).toBe(0);
    await page.getByText('Not connected yet', { exact: true }).waitFor();

    await page.getByRole('button', { name: 'Revoke this cluster' }).click();
    const dialog = page.getByRole('dialog');
    const revoke = dialog.getByRole('button', { name: 'Revoke the cluster' });
    expect(await revoke.isDisabled()).toBe(true);
    await dialog.getByRole('textbox').fill(NAME);
    await revoke.click();
    await page.getByRole('heading', { name: 'Clusters', exact: true }).waitFor();
    await page.getByRole('link', { name: NAME }).waitFor({ state: 'detached' });
  });

  // Another cluster's credentials may be ones that no relay takes, such as a program to run.
  it.skipIf(givenKubeconfig !== null)('adds a public cluster once its connection was tested', async () => {
    const window = await suite.person();
    const { page } = window;
    const look = new Look(window, 'clusters');
    const config = ['config', 'view', '--minify', '--flatten', '--raw'];

    await page.goto('/clusters/new');
    await page.getByRole('radio', { name: 'Public' }).check();
    await page.getByRole('textbox', { name: 'Name', exact: true }).fill('paris');
    await page.getByLabel('Kubeconfig', { exact: true }).fill('kind: Config');
    await page.getByRole('button', { name: 'Test connection' }).click();
    await page.getByRole('alert').waitFor();
    await page.getByLabel('Kubeconfig', { exact: true }).fill(await suite.stack.kubectl.run(...config));
    await page.getByRole('button', { name: 'Test connection' }).click();
    await page.getByRole('heading', { name: 'Terminals can be opened' }).waitFor();
    await look.at('tested');
    await page.getByRole('button', { name: 'Add cluster' }).click();
    await page.getByRole('link', { name: 'shop', exact: true }).waitFor();

    await page.getByRole('link', { name: 'Cluster settings' }).click();
    await page.getByRole('button', { name: 'Test connection' }).click();
    await page.getByRole('heading', { name: 'Terminals can be opened' }).waitFor();
    await page.getByRole('radio', { name: 'By the rights of the signed-in person' }).check();
    await look.at('public-settings');
    await page.getByRole('region', { name: 'Kubernetes identity' }).getByRole('button', { name: 'Save' }).click();
    await page.getByText('Saved. It counts').waitFor();
    await page.reload();
    await page.getByRole('textbox', { name: 'User names begin with' }).waitFor();

    const credentials = page.getByRole('region', { name: 'Credentials' });
    await credentials.getByRole('button', { name: 'Replace the credentials' }).click();
    await credentials.getByLabel('Kubeconfig', { exact: true }).fill('kind: Config');
    await credentials.getByRole('button', { name: 'Replace', exact: true }).click();
    await credentials.getByRole('alert').waitFor();
    await look.at('credentials-refused');
    await credentials.getByLabel('Sign in with').selectOption('A token');
    await credentials.getByLabel('Server').fill('https://api.example.org:6443');
    await credentials.getByLabel('Name in its certificate').fill('kubernetes.default.svc');
    await credentials.getByLabel('Token', { exact: true }).fill('a-token');
    await look.at('credentials-by-token');
    await credentials.getByLabel('Sign in with').selectOption('A kubeconfig');
    await credentials.getByLabel('Kubeconfig', { exact: true }).fill(await suite.stack.kubectl.run(...config));
    await credentials.getByRole('button', { name: 'Replace', exact: true }).click();
    await credentials.getByText('Replaced. Terminals that are open go on').waitFor();
    await credentials.getByRole('button', { name: 'Test connection' }).click();
    await page.getByRole('heading', { name: 'Terminals can be opened' }).waitFor();
    expect(await page.content()).not.toContain('client-key-data');
  });

  it.skipIf(givenKubeconfig !== null)('allows an image, with which a pod without a shell is entered', async () => {
    const window = await suite.person();
    const { page } = window;
    await page.goto('/settings/debug-images');
    const images = page.getByLabel('Images that may be chosen, one a line');
    await images.fill('not an image');
    await page.getByRole('button', { name: 'Save' }).click();
    await page.getByRole('alert').waitFor();
    await new Look(window, 'clusters').at('debug-images');
    await images.fill('docker.io/library/busybox:1.36');
    await page.getByRole('button', { name: 'Save' }).click();
    await page.getByText('Saved.', { exact: true }).waitFor();

    const kubeconfig = await suite.stack.kubectl.run('config', 'view', '--minify', '--flatten', '--raw');
    await suite.stack.call('POST', '/clusters', { type: 'public', name: 'rome', kubeconfig });
    await suite.stack.waitUntilOnline('rome');
    await window.openNamespace('default', 'rome');
    await window.clickTerminalIcon('distroless');
    await page.getByRole('alert').getByText('The container has no shell.').waitFor();
    await page.getByLabel('Image of the debug container').selectOption('docker.io/library/busybox:1.36');
    await new Look(window, 'clusters').at('debug-offer');
    await page.getByRole('button', { name: 'Start a debug container' }).click();
    const terminal = new TerminalWindow(window);
    await terminal.settle();
    expect(await terminal.run('echo inside-$((6*7))')).toEqual(['inside-42']);
    await terminal.end();
    await terminal.waitForStatus('Ended');
  });
});

async function copiedCommand({ page }: ConsoleWindow): Promise<string> {
  await page.getByRole('button', { name: 'Copy: As a plain process' }).click();
  await page.getByText('Copied').waitFor();
  return page.evaluate(() => navigator.clipboard.readText());
}

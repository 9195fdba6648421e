import { describe, expect, it } from 'vitest';
import type { ConsoleWindow } from '../src/console';
import { Look } from '../src/look';
import { givenKubeconfig } from '../src/settings';
import { setUp } from '../src/suite';

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
  });
});

async function copiedCommand({ page }: ConsoleWindow): Promise<string> {
  await page.getByRole('button', { name: 'Copy: As a plain process' }).click();
  await page.getByText('Copied').waitFor();
  return page.evaluate(() => navigator.clipboard.readText());
}

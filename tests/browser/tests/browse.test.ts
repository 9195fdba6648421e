import { describe, expect, it } from 'vitest';
import { setUp } from '../src/suite';
import { CLUSTER } from '../src/stack';
import { TerminalWindow } from '../src/terminal-window';

const suite = setUp();

describe('signing in', () => {
  it('works by a link once, and leaves no token in the address', async () => {
    const { page } = await suite.stranger();
    const link = await suite.stack.signInLink();
    await page.goto(link);
    await page.getByRole('heading', { name: 'Clusters', exact: true }).waitFor();
    expect(page.url()).toBe(`${suite.stack.url}/`);
    await page.goto('about:blank');
    await page.goto(link);
    await page.getByRole('heading', { name: 'You could not be signed in' }).waitFor();
  });

  it('is asked for where nobody is signed in, and by an incomplete link', async () => {
    const { page } = await suite.stranger();
    await page.goto('/');
    await page.getByRole('heading', { name: 'You are not signed in' }).waitFor();
    await page.goto('/sign-in');
    await page.getByRole('heading', { name: 'Sign in', exact: true }).waitFor();
  });

  it('ends by signing out', async () => {
    const { page } = await suite.person();
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.getByRole('heading', { name: 'You are not signed in' }).waitFor();
    await page.reload();
    await page.getByRole('heading', { name: 'You are not signed in' }).waitFor();
  });
});

describe('the way to a terminal', () => {
  it('leads from clusters to namespaces, to pods, to a shell', async () => {
    const window = await suite.person();
    const { page } = window;
    await page.getByRole('link', { name: CLUSTER }).first().click();
    await page.getByRole('link', { name: 'shop', exact: true }).waitFor();
    await page.getByRole('link', { name: 'default', exact: true }).click();
    await page.getByRole('row', { name: /^bb Running/ }).waitFor();
    await window.clickTerminalIcon('bb');
    const terminal = new TerminalWindow(window);
    await terminal.settle();
    expect(await terminal.run('hostname')).toEqual(['bb']);
    expect(page.url()).toMatch(/\/c\/[^/]+\/n\/default\/p\/bb\/main\/s\/[^/]+$/);
  });

  it('asks for the container where a pod has several', async () => {
    const window = await suite.person();
    const [pod] = await suite.stack.kubectl.podsOf('shop', 'app=web');
    await window.openNamespace('shop');
    await window.clickTerminalIcon(pod ?? '');
    await window.page.getByRole('dialog').getByRole('button', { name: 'sidecar' }).click();
    const terminal = new TerminalWindow(window);
    await terminal.settle();
    expect(await terminal.run('hostname; cat /proc/1/cmdline | tr "\\0" " "; echo')).toEqual([
      pod,
      expect.stringContaining('while true'),
    ]);
  });

  it('starts at a workload too, where its pods and containers are to choose from', async () => {
    const window = await suite.person();
    await window.openNamespace('shop');
    await window.clickTerminalIcon('web');
    const dialog = window.page.getByRole('dialog');
    await dialog
      .getByRole('button', { name: /sidecar/ })
      .first()
      .click();
    await new TerminalWindow(window).settle();
  });

  it('shows what changes in the cluster without being asked', async () => {
    const window = await suite.person();
    await window.openNamespace('shop');
    const [pod = ''] = await suite.stack.kubectl.podsOf('shop', 'app=web');
    await window.page.getByRole('row', { name: new RegExp(`^${pod}`) }).waitFor();
    await suite.stack.kubectl.run('delete', 'pod', '-n', 'shop', pod, '--wait=false');
    await window.page.getByRole('row', { name: new RegExp(`^${pod}`) }).waitFor({ state: 'detached' });
    await window.page.getByText('2 of 2 ready').waitFor();
  });

  it('opens nothing when somebody merely follows an address', async () => {
    const window = await suite.person();
    await window.openTerminal('default', 'bb');
    await window.page.goto(window.page.url().replace(/\/s\/[^/]+$/, ''));
    await window.page.getByRole('heading', { name: 'Open a terminal here?' }).waitFor();
    await window.page.getByRole('button', { name: 'Open a terminal' }).click();
    await new TerminalWindow(window).settle();
  });
});

import { describe, expect, it } from 'vitest';
import { FORBIDDEN_CLUSTER } from '../src/stack';
import { setUp } from '../src/suite';

const suite = setUp('one and one that may not exec');

describe('a terminal that cannot be opened says why:', () => {
  it.each([
    ['the pod has not started', 'shop', 'pending', 'The pod has not started yet.'],
    ['the pod has ended', 'shop', 'done', 'has ended, so nothing can be started in it.'],
    ['the container has no shell', 'default', 'distroless', 'The container has no shell.'],
  ])('%s', async (_, namespace, pod, sentence) => {
    const window = await suite.person();
    await window.openNamespace(namespace);
    await window.clickTerminalIcon(pod);
    await window.page.getByRole('alert').getByText(sentence).waitFor();
    await window.page.getByRole('button', { name: 'Back to the pods' }).click();
    await window.page.getByRole('heading', { name: namespace, exact: true }).waitFor();
  });

  it('Kubernetes does not allow it', async () => {
    const window = await suite.person();
    await window.openNamespace('default', FORBIDDEN_CLUSTER);
    await window.clickTerminalIcon('bb');
    await window.page.getByRole('alert').getByText('Kubernetes does not allow').waitFor();
  });

  it.each([
    ['there is no such pod', '/p/nobody/main', 'There is no such pod.'],
    ['there is no such container', '/p/bb/nothing', 'The pod has no container of that name.'],
  ])('%s', async (_, place, sentence) => {
    const window = await suite.person();
    await window.openNamespace('default');
    await window.page.goto(window.page.url() + place);
    await window.page.getByRole('button', { name: 'Open a terminal' }).click();
    await window.page.getByRole('alert').getByText(sentence).waitFor();
  });

  it('the agent is not connected', async () => {
    const window = await suite.person();
    await window.openNamespace('default', FORBIDDEN_CLUSTER);
    const address = `${window.page.url()}/p/bb/main`;
    await suite.stack.killAgent(FORBIDDEN_CLUSTER);
    await window.page.goto(address);
    await window.page.getByRole('button', { name: 'Open a terminal' }).click();
    const said = window.page
      .getByRole('alert')
      .getByText(/No agent of this cluster is connected|did not answer in time/);
    // A relay that has not noticed yet gives the agent its time to answer.
    await said.waitFor({ timeout: 60_000 });
    suite.stack.startAgent(FORBIDDEN_CLUSTER);
    await suite.stack.waitUntilOnline(FORBIDDEN_CLUSTER);
  });
});

describe('an address that leads nowhere', () => {
  it.each(['/nowhere', '/c/x/y', '/c/x/n/default/p/bb/main/s/not-a-session'])(
    '%s gets a page that says so',
    async (path) => {
      const window = await suite.person();
      await window.page.goto(path);
      const said = window.page.getByText(/There is no such|cannot be shown|makes no sense|not (a )?valid/);
      await said.first().waitFor();
      expect(await said.count()).toBeGreaterThan(0);
    },
  );
});

import { describe, expect, it } from 'vitest';
import { eventually } from '../src/eventually';
import { setUp } from '../src/suite';

const suite = setUp();

/** How soon no process of a closed session is left. */
const CLEANUP_DEADLINE_MS = 5_000;

const TOOLS = { namespace: 'default', pod: 'tools', container: 'main' };

describe('a session', () => {
  it('that is closed in the console leaves no process behind: foreground, background, nohup or setsid', async () => {
    const terminal = await (await suite.person()).openTerminal('default', 'tools');
    const { kubectl } = suite.stack;
    const seconds = 770_000 + Math.floor(Math.random() * 9_999);
    const sleep = `sleep ${seconds}`;
    await terminal.type(`${sleep} & nohup ${sleep} >/dev/null 2>&1 & setsid ${sleep} & ${sleep}\n`);
    await eventually('four processes', async () => ((await kubectl.countProcesses(TOOLS, sleep)) === 4 ? true : null));
    await terminal.end();
    await terminal.page.getByText('You closed this session.').waitFor();
    await eventually(
      'no process is left',
      async () => ((await kubectl.countProcesses(TOOLS, sleep)) === 0 ? true : null),
      CLEANUP_DEADLINE_MS,
    );
    await terminal.page.getByText('None of its processes are left.').waitFor();
  });

  it('that the shell ends shows the exit status, and leads to a new one', async () => {
    const window = await suite.person();
    const terminal = await window.openTerminal('default', 'bb');
    await terminal.type('exit 7\n');
    await terminal.page.getByText('The process has ended.').waitFor();
    await terminal.page.getByText('Exit status 7.').waitFor();
    await terminal.waitForStatus('Ended');
    await terminal.page.getByRole('button', { name: 'Open a new session' }).click();
    await terminal.waitForStatus('Connected');
    await terminal.settle();
    expect(await terminal.run('echo new')).toEqual(['new']);
  });

  it('that is over says so to whoever comes back by its address', async () => {
    const window = await suite.person();
    const terminal = await window.openTerminal('default', 'bb');
    await terminal.type('exit\n');
    await terminal.waitForStatus('Ended');
    await terminal.page.reload();
    await terminal.page.getByText('The process has ended.').waitFor();
  });

  it('whose pod is deleted says so', async () => {
    const { kubectl } = suite.stack;
    const window = await suite.person();
    const [pod = ''] = await kubectl.podsOf('shop', 'app=web');
    const terminal = await window.openTerminal('shop', pod, 'app');
    await kubectl.run('delete', 'pod', '-n', 'shop', pod, '--wait=false');
    await terminal.page.getByText('The pod is gone').waitFor();
  });

  it('whose agent is killed says so within 15 seconds, and how it ended once the agent is back', async () => {
    const terminal = await (await suite.person()).openTerminal('default', 'bb');
    await suite.stack.killAgent();
    await terminal.waitForStatus('Agent does not answer', 15_000);
    suite.stack.startAgent();
    await terminal.page
      .getByText('The cluster’s agent was restarted')
      .or(terminal.page.getByText("The cluster's agent was restarted"))
      .waitFor();
    await suite.stack.waitUntilOnline();
  });
});

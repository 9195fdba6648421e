/** The cluster as its administrator sees it: the suite's second, independent view of what happens in pods. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { programs } from './settings';

const run = promisify(execFile);

/** A pod's container. */
export interface Place {
  readonly namespace: string;
  readonly pod: string;
  readonly container: string;
}

export class Kubectl {
  readonly kubeconfig: string;

  constructor(kubeconfig: string) {
    this.kubeconfig = kubeconfig;
  }

  /** Runs kubectl and returns what it wrote. */
  async run(...args: string[]): Promise<string> {
    const { stdout } = await run(programs.kubectl, ['--kubeconfig', this.kubeconfig, ...args], {
      maxBuffer: 64 * 1024 * 1024,
      timeout: 60_000,
    });
    return stdout;
  }

  /** Runs a script in a container, by its `sh`. */
  exec(place: Place, script: string): Promise<string> {
    const { namespace, pod, container } = place;
    return this.run('exec', '-n', namespace, pod, '-c', container, '--', 'sh', '-c', script);
  }

  /** The names of the pods that a deployment's label selects. */
  async podsOf(namespace: string, label: string): Promise<string[]> {
    const names = await this.run('get', 'pods', '-n', namespace, '-l', label, '-o', 'name');
    return names
      .split('\n')
      .filter(Boolean)
      .map((name) => name.replace('pod/', ''));
  }

  /**
   * How many live processes of a container have this text in their command line. A zombie's is empty, so that it counts
   * as gone. Only shell built-ins: busybox has no more.
   */
  async countProcesses(place: Place, text: string): Promise<number> {
    // The bracket keeps the script from finding itself.
    const pattern = `[${text.slice(0, 1)}]${text.slice(1)}`;
    const script = `for f in /proc/[0-9]*/cmdline; do tr '\\0' ' ' <$f 2>/dev/null | grep -q '${pattern}' && echo x; done; :`;
    return (await this.exec(place, script)).split('\n').filter(Boolean).length;
  }
}

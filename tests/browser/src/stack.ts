/** The whole line as real processes: a cluster, a relay, agents, and links in between that can be cut. */
import { execFile } from 'node:child_process';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Kubectl } from './kubectl';
import { TcpLink, UdpLink } from './link';
import { Program } from './program';
import { givenKubeconfig, programs } from './settings';
import { eventually } from './eventually';

const run = promisify(execFile);

/** The organisation that there always is. */
export const ORGANISATION = 'Example Ltd';
/** The first owner's address. */
export const OWNER = 'ada@example.com';

/** Names of the clusters, as people see them. */
export const CLUSTER = 'production';

/** The same cluster, by an agent that Kubernetes does not allow to exec. */
export const FORBIDDEN_CLUSTER = 'look-only';

/** Which agents a stack has. */
export type Agents = 'one' | 'one and one that may not exec';

export class Stack {
  readonly kubectl: Kubectl;
  /** Between browser and relay. */
  readonly http: TcpLink;
  /** Between agent and relay. */
  readonly tunnel: UdpLink;
  readonly #folder: string;
  readonly #host: string;
  readonly #flags: readonly string[];
  readonly #devcluster: Program | null;
  readonly #agentKubeconfig: string;
  #relay: Program | null = null;
  #cookie: string | null = null;
  #ports = { http: 0, tunnel: 0 };
  readonly #agents = new Map<string, Program>();
  readonly #agentCommands = new Map<string, string[]>();

  private constructor(
    folder: string,
    { flags, host }: RelaySettings,
    cluster: RunningCluster,
    http: TcpLink,
    tunnel: UdpLink,
  ) {
    this.#folder = folder;
    this.#flags = flags;
    this.#host = host;
    this.#devcluster = cluster.program;
    this.#agentKubeconfig = cluster.agentKubeconfig;
    this.kubectl = new Kubectl(cluster.kubeconfig);
    this.http = http;
    this.tunnel = tunnel;
  }

  /** Starts everything, the relay with these flags too, and waits until the agents are connected. */
  static async start(agents: Agents = 'one', flags: readonly string[] = [], host = '127.0.0.1'): Promise<Stack> {
    const folder = await mkdtemp(join(tmpdir(), 'podlatch-browser-'));
    const [http, tunnel] = [await TcpLink.open(), await UdpLink.open()];
    const cluster = await startCluster(folder);
    const stack = new Stack(folder, { flags, host }, cluster, http, tunnel);
    try {
      await stack.startRelay();
      await stack.#admin('create-organisation', '--name', ORGANISATION, '--owner-email', OWNER);
      await stack.#enrol(CLUSTER, cluster.agentKubeconfig);
      if (agents !== 'one') await stack.#enrol(FORBIDDEN_CLUSTER, await cluster.lookOnly());
      return stack;
    } catch (error) {
      await stack.close();
      throw error;
    }
  }

  /** Where people find the relay: the near end of the link. */
  get url(): string {
    return `http://${this.#host}:${this.http.port}`;
  }

  /** A fresh one-time link of somebody. */
  async signInLink(email = OWNER, organisation = ORGANISATION): Promise<string> {
    const text = await this.#admin('sign-in-link', '--email', email, '--organisation', organisation);
    return match(text, /https?:\/\/\S+\/sign-in#pll_[\w-]+/);
  }

  /** Starts the relay; after the first time on the same ports. */
  async startRelay(): Promise<void> {
    const { program, line } = await Program.ready('podlatch-relay', programs.relay, [
      'serve',
      ...this.#relayFlags(),
      ...this.#flags,
      '--http-listen',
      `127.0.0.1:${this.#ports.http}`,
      '--tunnel-listen',
      `127.0.0.1:${this.#ports.tunnel}`,
    ]);
    this.#relay = program;
    this.#ports = {
      http: Number(match(line, /http=http:\/\/127\.0\.0\.1:(\d+)/)),
      tunnel: Number(match(line, /tunnel=127\.0\.0\.1:(\d+)/)),
    };
    this.http.upstream = this.#ports.http;
    this.tunnel.upstream = this.#ports.tunnel;
  }

  /** Takes somebody into the organisation, by an invitation of the owner. */
  async invite(email: string, role = 'member'): Promise<void> {
    const { url } = (await this.call('POST', '/invitations', { email, role })) as { url: string };
    const body = { token: new URL(url).hash.slice(1), name: email.split('@', 1)[0] };
    await this.#post('/invitations/acceptances', body, {});
  }

  /** Makes another organisation, of a person who may have one already. */
  async createOrganisation(name: string, owner: string): Promise<void> {
    await this.#admin('create-organisation', '--name', name, '--owner-email', owner);
  }

  /** The folder of a session's stored recording. */
  async recordingFolder(session: string): Promise<string> {
    const root = join(this.#folder, 'relay', 'recordings');
    const paths = await readdir(root, { recursive: true });
    const found = paths.find((path) => path.endsWith(join(session, 'manifest.jsonl')));
    if (found === undefined) throw new Error(`there is no recording of ${session} in ${paths.join(' ')}`);
    return join(root, found, '..');
  }

  /** Asks the API something, as the owner. */
  async call(method: 'GET' | 'POST', path: string, body?: object): Promise<unknown> {
    this.#cookie ??= await this.#signIn();
    if (method === 'POST') return (await this.#post(path, body ?? {}, { cookie: this.#cookie })).json();
    const response = await fetch(`${this.url}/api/v1${path}`, { headers: { cookie: this.#cookie } });
    return response.json();
  }

  async killRelay(): Promise<void> {
    await this.#relay?.kill();
  }

  async killAgent(cluster = CLUSTER): Promise<void> {
    await this.#agents.get(cluster)?.kill();
  }

  startAgent(cluster = CLUSTER): void {
    const command = this.#agentCommands.get(cluster);
    if (command === undefined) throw new Error(`there is no agent of ${cluster}`);
    this.#agents.set(cluster, Program.start(`podlatch-agent of ${cluster}`, programs.agent, command));
  }

  /** Starts an agent with the values of the command that the relay gave for it. */
  async join(cluster: string, command: string, kubeconfig = this.#agentKubeconfig): Promise<void> {
    const token = join(this.#folder, `${cluster}.join-token`);
    await writeFile(token, match(command, /plj_[\w-]+/), { mode: 0o600 });
    this.#agentCommands.set(cluster, [
      'run',
      '--relay',
      match(command, /--relay (\S+)/),
      '--ca-pin',
      match(command, /sha256:[0-9a-f]{64}/),
      '--join-token-file',
      token,
      '--identity',
      `file:${join(this.#folder, `${cluster}.identity`)}`,
      '--kubeconfig',
      kubeconfig,
      '--health-listen',
      '127.0.0.1:0',
      // Windows that a test leaves open are no reason to wait at the end.
      '--drain-timeout',
      '1',
    ]);
    this.startAgent(cluster);
  }

  /** Waits until the relay calls the cluster online. */
  async waitUntilOnline(cluster = CLUSTER): Promise<void> {
    await eventually(`the agent of ${cluster} is online`, async () =>
      (await this.#clusters()).some((item) => item.name === cluster && item.state === 'online') ? true : null,
    );
  }

  /** The id by which addresses name a cluster. */
  async clusterId(cluster = CLUSTER): Promise<string> {
    const found = (await this.#clusters()).find((item) => item.name === cluster);
    if (found === undefined) throw new Error(`there is no cluster ${cluster}`);
    return found.id;
  }

  /** What the processes logged last, for the report of a failure. */
  get logs(): string {
    const all = [this.#relay, this.#devcluster, ...this.#agents.values()];
    return all.map((program) => (program === null ? '' : `--- ${program.name}\n${program.log}`)).join('\n');
  }

  async close(): Promise<void> {
    await Promise.all([...this.#agents.values()].map((agent) => agent.stop()));
    await this.#relay?.stop();
    await this.#devcluster?.stop();
    await this.http.close();
    this.tunnel.close();
    await rm(this.#folder, { recursive: true, force: true });
  }

  async #enrol(cluster: string, kubeconfig: string): Promise<void> {
    const text = await this.#admin('create-cluster', '--organisation', ORGANISATION, '--name', cluster);
    await this.join(cluster, text, kubeconfig);
    await this.waitUntilOnline(cluster);
  }

  async #clusters(): Promise<{ id: string; name: string; state: string }[]> {
    const { items } = (await this.call('GET', '/clusters')) as { items: { id: string; name: string; state: string }[] };
    return items;
  }

  /** Signs in without a browser, and returns the cookie. */
  async #signIn(): Promise<string> {
    const token = new URL(await this.signInLink()).hash.slice(1);
    const response = await this.#post('/login-sessions', { token }, {});
    const cookie = response.headers.getSetCookie()[0]?.split(';')[0];
    if (cookie === undefined) throw new Error('signing in set no cookie');
    return cookie;
  }

  async #post(path: string, body: object, headers: Record<string, string>): Promise<Response> {
    const response = await fetch(`${this.url}/api/v1${path}`, {
      method: 'POST',
      headers: { origin: this.url, 'content-type': 'application/json', ...headers },
      body: JSON.stringify(body),
    });
    if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
    return response;
  }

  /** Runs an administrator's command, on the same data as the relay. */
  async #admin(...args: string[]): Promise<string> {
    const { stdout } = await run(programs.relay, ['admin', ...args, ...this.#relayFlags()], { timeout: 30_000 });
    return stdout;
  }

  #relayFlags(): string[] {
    return [
      '--data',
      join(this.#folder, 'relay'),
      '--public-url',
      this.url,
      '--tunnel-address',
      `127.0.0.1:${this.tunnel.port}`,
    ];
  }
}

interface RelaySettings {
  readonly flags: readonly string[];
  /** By which name of this machine browsers reach it: passkeys need one that is no address. */
  readonly host: string;
}

interface RunningCluster {
  readonly program: Program | null;
  /** The administrator's. */
  readonly kubeconfig: string;
  readonly agentKubeconfig: string;
  /** A kubeconfig of somebody who sees pods but may not enter them. */
  readonly lookOnly: () => Promise<string>;
}

async function startCluster(folder: string): Promise<RunningCluster> {
  if (givenKubeconfig !== null) {
    const kubeconfig = givenKubeconfig;
    const agentKubeconfig = kubeconfig;
    return {
      program: null,
      kubeconfig,
      agentKubeconfig,
      lookOnly: () => lookOnlyAccount(new Kubectl(kubeconfig), folder),
    };
  }
  const data = join(folder, 'devcluster');
  const { program, line } = await Program.ready('podlatch-devcluster', programs.devcluster, ['--data', data]);
  const kubeconfig = match(line, /kubeconfig=(\S+)/);
  const user = (name: string) => join(data, 'users', `${name}.kubeconfig`);
  return {
    program,
    kubeconfig,
    agentKubeconfig: user('podlatch-agent'),
    lookOnly: () => Promise.resolve(user('exec-create-only')),
  };
}

/** Makes a service account with the built-in role `view` and returns a kubeconfig of it. */
async function lookOnlyAccount(kubectl: Kubectl, folder: string): Promise<string> {
  const name = 'podlatch-look-only';
  const account = ['-n', 'podlatch', 'serviceaccount'];
  await kubectl.run('create', ...account, name).catch(() => '');
  const binding = ['clusterrolebinding', name, '--clusterrole=view', `--serviceaccount=podlatch:${name}`];
  await kubectl.run('create', ...binding).catch(() => '');
  const token = (await kubectl.run('create', 'token', '-n', 'podlatch', name, '--duration=1h')).trim();
  const config = JSON.parse(await kubectl.run('config', 'view', '--raw', '--minify', '-o', 'json')) as {
    users: { user: object }[];
  };
  for (const entry of config.users) entry.user = { token };
  const path = join(folder, 'look-only.kubeconfig');
  await writeFile(path, JSON.stringify(config), { mode: 0o600 });
  return path;
}

/** The first group of a match, or all of it. */
function match(text: string, pattern: RegExp): string {
  const found = pattern.exec(text);
  const part = found?.[1] ?? found?.[0];
  if (part === undefined) throw new Error(`nothing like ${pattern.source} in: ${text}`);
  return part;
}

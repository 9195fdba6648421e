/** A program of ours as a process: started, awaited until it says that it is ready, and never left behind. */
import { spawn, type ChildProcess, type ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';

/** From start to the line that says so. */
const READY_DEADLINE_MS = 30_000;

/** From SIGTERM to SIGKILL. */
const STOP_DEADLINE_MS = 15_000;

/** Lines of its log that are kept for the error when it fails. */
const KEPT_LINES = 60;

/** Every process that still runs: whatever ends the tests takes them along. */
const running = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

export class Program {
  readonly name: string;
  readonly #child: ChildProcessByStdio<null, Readable, Readable>;
  readonly #log: string[] = [];

  private constructor(name: string, path: string, args: readonly string[], environment: Record<string, string>) {
    this.name = name;
    const child = spawn(path, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...environment },
    });
    this.#child = child;
    running.add(child);
    child.on('exit', () => running.delete(child));
    child.on('error', (error) => this.#keep(error.message));
    createInterface(child.stderr).on('line', (line) => this.#keep(line));
  }

  /** Starts a program that is ready at once. */
  static start(name: string, path: string, args: readonly string[], environment: Record<string, string> = {}): Program {
    return new Program(name, path, args, environment);
  }

  /** Starts a program and waits for the line on its output that begins with `ready`. */
  static async ready(
    name: string,
    path: string,
    args: readonly string[],
    environment: Record<string, string> = {},
  ): Promise<{ program: Program; line: string }> {
    const program = new Program(name, path, args, environment);
    const line = await program.#readyLine();
    return { program, line };
  }

  get log(): string {
    return this.#log.join('\n');
  }

  get isRunning(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Asks it to end, and makes it end. */
  async stop(): Promise<void> {
    if (!this.isRunning) return;
    const force = setTimeout(() => this.#child.kill('SIGKILL'), STOP_DEADLINE_MS);
    this.#child.kill('SIGTERM');
    await once(this.#child, 'exit');
    clearTimeout(force);
  }

  /** Ends it without a warning. */
  async kill(): Promise<void> {
    if (!this.isRunning) return;
    this.#child.kill('SIGKILL');
    await once(this.#child, 'exit');
  }

  async #readyLine(): Promise<string> {
    const lines = createInterface(this.#child.stdout);
    const deadline = AbortSignal.timeout(READY_DEADLINE_MS);
    return new Promise((resolve, reject) => {
      const fail = (why: string) => reject(new Error(`${this.name} ${why}\n${this.log}`));
      lines.on('line', (line) => {
        this.#keep(line);
        if (line.startsWith('ready')) resolve(line);
      });
      this.#child.on('error', () => fail(`cannot be started: build it first (cargo build)`));
      this.#child.on('exit', (code, signal) => fail(`ended (${code ?? signal ?? '?'}) before it was ready`));
      deadline.addEventListener('abort', () => fail('was not ready in time'));
    });
  }

  #keep(line: string): void {
    this.#log.push(line);
    if (this.#log.length > KEPT_LINES) this.#log.shift();
  }
}

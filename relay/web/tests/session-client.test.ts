import { describe, expect, it } from 'vitest';
import { FIRST_WINDOW_BYTES, LARGEST_WINDOW_BYTES, SMALLEST_WINDOW_BYTES } from '../src/lib/drawing-window';
import { FLOOD_BYTES, HURRY_BYTES, HURRY_MS, LONGEST_HOLD_MS, QUIET_MS } from '../src/lib/interrupt';
import {
  ATTACH_DEADLINE_MS,
  RECONNECT_BASE_MS,
  RECONNECT_CAP_MS,
  SessionClient,
  SILENCE_DEADLINE_MS,
  STABLE_AFTER_MS,
  type ClientState,
  type TicketOutcome,
  type Urgency,
} from '../src/lib/session-client';
import { FakeClock, FakeSocket, settle } from './fakes';

const SESSION = 'session-1';
const INPUT = 0x01;
const RENDERED = 0x02;
const OUTPUT = 0x11;
const LEFT_OUT = 0x14;
const APPLIED = 0x12;
const SNAPSHOT = 0x13;

const bytes = (text: string) => new TextEncoder().encode(text);
const text = (data: Uint8Array) => new TextDecoder().decode(data);

describe('a session client', () => {
  it('attaches with the ticket that it was given, for a snapshot, at the size of the terminal', async () => {
    const world = new World({ ticket: 'plk_first' });
    world.client.start();
    world.socket.open();
    await settle();
    expect(world.ticketsAsked).toBe(0);
    expect(world.socket.binaryType).toBe('arraybuffer');
    expect(world.socket.texts).toEqual([
      { type: 'attach', ticket: 'plk_first', writer: 'writer-1', have: null, columns: 80, rows: 24 },
    ]);
    world.attached({ output: 0, input: 0 });
    expect(world.state).toEqual({ kind: 'live', agent: 'answering' });
  });

  it('shows output in order and tells what was rendered', async () => {
    const world = await World.live();
    world.socket.binary(OUTPUT, 0, bytes('hello '));
    world.socket.binary(OUTPUT, 6, bytes('world'));
    expect(world.shown).toBe('hello world');
    expect(world.socket.frames(RENDERED)).toEqual([]);
    world.renderAll();
    expect(world.socket.frames(RENDERED).map((frame) => frame.offset)).toEqual([11]);
  });

  it('tells what was rendered in steps while more is waiting', async () => {
    const world = await World.live();
    for (let index = 0; index < 5; index++) world.socket.binary(OUTPUT, index * 8192, new Uint8Array(8192));
    world.render(2);
    expect(world.socket.frames(RENDERED).map((frame) => frame.offset)).toEqual([8192, 16384]);
    world.renderAll();
    expect(world.socket.frames(RENDERED).at(-1)?.offset).toBe(40960);
  });

  it('asks for a window that suits the terminal’s pace, and for the same when it comes back', async () => {
    const windows = (world: World) => world.socket.texts.filter((message) => message['type'] === 'window');
    const world = await World.live();
    world.socket.binary(OUTPUT, 0, new Uint8Array(32 * 1024));
    world.clock.advance(2000);
    world.renderAll();
    expect(windows(world)).toEqual([{ type: 'window', bytes: SMALLEST_WINDOW_BYTES }]);
    world.socket.drop();
    await world.return();
    world.attached({ output: 32 * 1024, input: 0 });
    expect(windows(world)).toEqual([{ type: 'window', bytes: SMALLEST_WINDOW_BYTES }]);
    world.socket.binary(OUTPUT, 32 * 1024, new Uint8Array(32 * 1024));
    world.clock.advance(1);
    world.renderAll();
    expect(windows(world).at(-1)).toEqual({ type: 'window', bytes: LARGEST_WINDOW_BYTES });
  });

  it('fetches at once what an interrupted program had written, once the program has the interrupt', async () => {
    const world = await World.live();
    const acknowledged = () => world.socket.frames(RENDERED).at(-1)?.offset ?? 0;
    const piece = (index: number) => world.socket.binary(OUTPUT, index * 16384, new Uint8Array(16384));
    piece(0);
    world.client.send(bytes('\x03'));
    piece(1);
    expect(acknowledged()).toBe(0);
    world.socket.binary(APPLIED, 1, new Uint8Array());
    expect(acknowledged()).toBe(2 * 16384);
    for (let index = 2; index < 200 + HURRY_BYTES / 16384; index++) piece(index);
    expect(acknowledged()).toBeLessThanOrEqual(2 * 16384 + HURRY_BYTES);
    expect(acknowledged()).toBeGreaterThan(HURRY_BYTES);
  });

  it('goes on behind what the relay left out, and says so once what stands for it is drawn', async () => {
    const windows = (world: World) => world.socket.texts.filter((message) => message['type'] === 'window');
    const world = await World.live();
    world.socket.binary(OUTPUT, 0, bytes('y\r\n'));
    world.renderAll();
    const asked = windows(world).length;
    const behind = 64 * 1024 * 1024;
    world.socket.binary(LEFT_OUT, behind, bytes('…\r\n'));
    expect(world.socket.frames(RENDERED).map(({ offset }) => offset)).toEqual([3]);
    world.clock.advance(1000);
    world.renderAll();
    expect(world.socket.frames(RENDERED).at(-1)?.offset).toBe(behind);
    expect(windows(world)).toHaveLength(asked);
    world.socket.binary(OUTPUT, behind, bytes('pod> '));
    expect(world.shown).toBe('y\r\n…\r\npod> ');
    expect(world.client.state).toMatchObject({ kind: 'live' });
  });

  it('draws nothing from an interrupt in a flood on until all of the flood is there, for which it asks at once', async () => {
    const world = await World.live();
    const windows = () => world.socket.texts.filter(({ type }) => type === 'window').map(({ bytes }) => bytes);
    let end = 0;
    const piece = (length: number) => {
      world.socket.binary(OUTPUT, end, new Uint8Array(length));
      end += length;
    };
    piece(FLOOD_BYTES);
    world.client.send(bytes('\x03'));
    expect(world.screen).toBe('held');
    piece(FLOOD_BYTES);
    world.socket.binary(APPLIED, 1, new Uint8Array());
    expect(windows()).toEqual([LARGEST_WINDOW_BYTES]);
    for (let count = 0; count < 3; count++) {
      world.clock.advance(QUIET_MS - 1);
      piece(100);
      expect(world.screen).toBe('held');
    }
    world.clock.advance(QUIET_MS);
    expect(world.screen).toBe('drawing');
    expect(windows()).toEqual([LARGEST_WINDOW_BYTES, FIRST_WINDOW_BYTES]);
    expect(world.clock.pending).toBe(0);
  });

  it.each([
    ['the program does not heed it', '', FLOOD_BYTES],
    ['there is an echo and a prompt', '', 10],
    ['something else is typed', 'q', 0],
  ])('holds the screen no longer after an interrupt where %s', async (_, typed, length) => {
    const world = await World.live();
    world.client.send(bytes('\x03'));
    if (typed !== '') world.client.send(bytes(typed));
    for (let ms = 0, end = 0; ms < LONGEST_HOLD_MS && length === FLOOD_BYTES; ms += QUIET_MS, end += length) {
      world.socket.binary(OUTPUT, end, new Uint8Array(length));
      world.clock.advance(QUIET_MS);
    }
    if (length === 10) world.socket.binary(OUTPUT, 0, new Uint8Array(length));
    expect(world.screen).toBe('drawing');
    expect(world.clock.pending).toBeLessThanOrEqual(1);
  });

  it('draws what it held when the session ends', async () => {
    const world = await World.live();
    world.client.send(bytes('\x03'));
    world.socket.binary(OUTPUT, 0, new Uint8Array(FLOOD_BYTES));
    expect(world.screen).toBe('held');
    world.socket.text({ type: 'ended', cause: 'exited', message: 'Over.', exit_code: 0, cleanup: 'not_wanted' });
    expect(world.screen).toBe('drawing');
  });

  it('calls overtaken what the program had written before an interrupt, until something else is typed', async () => {
    const world = await World.live();
    const piece = (index: number) => {
      world.socket.binary(OUTPUT, index * 1024, new Uint8Array(1024));
      return world.urgencies.at(-1);
    };
    expect(piece(0)).toBe('wanted');
    world.client.send(bytes('\x03'));
    expect(piece(1)).toBe('wanted');
    world.socket.binary(APPLIED, 1, new Uint8Array());
    expect(piece(2)).toBe('overtaken');
    world.client.send(bytes('l'));
    expect(piece(3)).toBe('wanted');
    world.client.send(bytes('\x03'));
    world.socket.binary(APPLIED, 3, new Uint8Array());
    expect(piece(4)).toBe('overtaken');
    world.clock.advance(HURRY_MS);
    expect(piece(5)).toBe('wanted');
    expect(piece(6)).toBe('wanted');
  });

  it('comes back with what it has and drops output that it has already shown', async () => {
    const world = await World.live();
    world.socket.binary(OUTPUT, 0, bytes('abcdef'));
    await world.dropAndReturn();
    expect(world.socket.texts[0]).toMatchObject({ type: 'attach', ticket: 'plk_2', writer: 'writer-1', have: 6 });
    world.attached({ output: 3, input: 0 });
    world.socket.binary(OUTPUT, 3, bytes('def'));
    world.socket.binary(OUTPUT, 5, bytes('fgh'));
    expect(world.shown).toBe('abcdefgh');
  });

  it('asks for a snapshot when output is missing, and goes on behind it', async () => {
    const world = await World.live();
    world.socket.binary(OUTPUT, 0, bytes('abc'));
    world.socket.binary(OUTPUT, 5, bytes('fgh'));
    expect(world.state.kind).toBe('reconnecting');
    await world.return();
    expect(world.socket.texts[0]).toMatchObject({ have: null });
    world.attached({ output: 8, input: 0 });
    world.socket.binary(SNAPSHOT, 8, bytes('SCREEN'));
    world.socket.binary(OUTPUT, 8, bytes('ijk'));
    expect(world.shown).toBe('abc[restore:SCREEN]ijk');
    world.renderAll();
    expect(world.socket.frames(RENDERED).at(-1)?.offset).toBe(11);
  });

  it('keeps what is typed without a connection and sends it once there is one', async () => {
    const world = await World.live();
    world.socket.drop();
    expect(world.client.send(bytes('ls\r'))).toBe('queued');
    await world.return();
    world.attached({ output: 0, input: 0 });
    expect(world.typed).toBe('ls\r');
  });

  it('sends again only what the relay had not got, and forgets only what was applied', async () => {
    const world = await World.live();
    world.client.send(bytes('abcdef'));
    world.socket.binary(APPLIED, 2);
    await world.dropAndReturn();
    world.attached({ output: 0, input: 4 });
    expect(world.socket.frames(INPUT)).toEqual([{ offset: 4, bytes: bytes('ef') }]);
    world.socket.text({ type: 'resend', input: 2 });
    expect(world.socket.frames(INPUT).at(-1)).toEqual({ offset: 2, bytes: bytes('cdef') });
    world.socket.binary(APPLIED, 6);
    expect(world.client.pendingInputBytes).toBe(0);
  });

  it('sends a long paste whole, window by window', async () => {
    const world = await World.live();
    const paste = Uint8Array.from({ length: 1024 * 1024 }, (_, index) => index % 251);
    world.client.send(paste);
    for (;;) {
      const last = world.socket.frames(INPUT).at(-1);
      if (last === undefined) throw new Error('nothing was sent');
      const end = last.offset + last.bytes.length;
      world.socket.binary(APPLIED, end);
      if (end === paste.length) break;
    }
    const frames = world.socket.frames(INPUT);
    expect(frames.every((frame) => frame.bytes.length <= 16 * 1024)).toBe(true);
    expect(Buffer.concat(frames.map((frame) => frame.bytes)).equals(paste)).toBe(true);
  });

  it('goes on under its name with a restarted relay, which has to ask the agent first', async () => {
    const world = await World.live();
    world.client.send(bytes('abcd'));
    world.socket.binary(APPLIED, 2);
    await world.dropAndReturn();
    world.attached({ output: 0, input: 0 });
    expect(world.socket.frames(INPUT)).toEqual([{ offset: 2, bytes: bytes('cd') }]);
    // The agent has all of it: nothing is sent a second time under whatever name.
    world.socket.text({ type: 'resend', input: 4 });
    expect(world.socket.frames(INPUT)).toHaveLength(1);
    world.socket.binary(APPLIED, 4);
    expect(world.client.pendingInputBytes).toBe(0);
    expect(world.state.kind).toBe('live');
  });

  it('takes a new name when the agent no longer knows its positions, and sends what was left', async () => {
    const world = await World.live();
    world.client.send(bytes('abcd'));
    world.socket.binary(APPLIED, 2);
    await world.dropAndReturn();
    world.attached({ output: 0, input: 0 });
    world.socket.text({ type: 'resend', input: 0 });
    await world.return();
    expect(world.socket.texts[0]).toMatchObject({ writer: 'writer-2' });
    world.attached({ output: 0, input: 0 });
    expect(world.socket.frames(INPUT)).toEqual([{ offset: 0, bytes: bytes('cd') }]);
  });

  it('refuses input that is more than can be kept', async () => {
    const world = await World.live();
    expect(world.client.send(new Uint8Array(64 * 1024 * 1024))).toBe('too_much');
    expect(world.client.pendingInputBytes).toBe(0);
  });

  it('tells a size once, and the latest with the next attach', async () => {
    const world = await World.live();
    world.client.resize({ columns: 100, rows: 30 });
    world.client.resize({ columns: 100, rows: 30 });
    expect(world.socket.texts.slice(1)).toEqual([{ type: 'resize', columns: 100, rows: 30 }]);
    world.socket.drop();
    world.client.resize({ columns: 120, rows: 40 });
    await world.return();
    expect(world.socket.texts[0]).toMatchObject({ columns: 120, rows: 40 });
  });

  it('waits longer after every failure, up to a bound, and short again after a good connection', async () => {
    const world = await World.live({ random: () => 1 });
    const waits: number[] = [];
    world.clock.advance(STABLE_AFTER_MS);
    for (let failure = 0; failure < 8; failure++) {
      world.socket.drop();
      waits.push(world.wait);
      await world.return();
    }
    expect(waits.slice(0, 3)).toEqual([RECONNECT_BASE_MS, RECONNECT_BASE_MS * 2, RECONNECT_BASE_MS * 4]);
    expect(waits.at(-1)).toBe(RECONNECT_CAP_MS);
    world.attached({ output: 0, input: 0 });
    world.clock.advance(STABLE_AFTER_MS);
    world.socket.drop();
    expect(world.wait).toBe(RECONNECT_BASE_MS);
  });

  it('does not hammer a relay that attaches and fails at once', async () => {
    const world = await World.live({ random: () => 1 });
    const waits: number[] = [];
    for (let failure = 0; failure < 4; failure++) {
      world.socket.drop(4104);
      waits.push(world.wait);
      await world.return();
      world.attached({ output: 0, input: 0 });
    }
    expect(waits).toEqual([500, 1000, 2000, 4000]);
  });

  it('tries at once when told to, and when the network is back', async () => {
    const world = await World.live();
    world.socket.drop();
    world.client.retryNow();
    await settle();
    expect(world.sockets).toHaveLength(2);
    world.socket.drop();
    world.client.setNetwork('offline');
    expect(world.state).toMatchObject({ kind: 'reconnecting', network: 'offline' });
    world.client.setNetwork('online');
    await settle();
    expect(world.sockets).toHaveLength(3);
  });

  it('replaces a connection that lived through a loss of the network', async () => {
    const world = await World.live();
    const old = world.socket;
    world.client.setNetwork('offline');
    expect(world.state.kind).toBe('live');
    world.client.setNetwork('online');
    await settle();
    expect(old.isClosed).toBe(true);
    expect(world.sockets).toHaveLength(2);
  });

  it('gives up on a connection that is silent while input waits', async () => {
    const world = await World.live();
    world.client.send(bytes('a'));
    world.clock.advance(SILENCE_DEADLINE_MS - 1);
    world.socket.binary(OUTPUT, 0, bytes('x'));
    world.clock.advance(SILENCE_DEADLINE_MS - 1);
    expect(world.state.kind).toBe('live');
    world.clock.advance(1);
    expect(world.state.kind).toBe('reconnecting');
  });

  it('passes on how long the session may go on', async () => {
    const world = await World.live();
    const life = { expires_in_ms: 60_000, idle: true, idle_since_ms: 300_000, idle_closes_in_ms: null };
    world.socket.text({ type: 'life', ...life });
    expect(world.lives).toEqual([life]);
    expect(world.state).toEqual({ kind: 'live', agent: 'answering' });
  });

  it('passes on how many people watch', async () => {
    const world = await World.live();
    world.socket.text({ type: 'observers', count: 2 });
    world.socket.text({ type: 'observers', count: 0 });
    expect(world.observers).toEqual([2, 0]);
  });

  it('stays with a silent connection when nothing waits, or when the agent is known to be silent', async () => {
    const world = await World.live();
    world.clock.advance(10 * SILENCE_DEADLINE_MS);
    expect(world.state.kind).toBe('live');
    world.client.send(bytes('a'));
    world.socket.text({ type: 'agent', state: 'silent' });
    world.clock.advance(10 * SILENCE_DEADLINE_MS);
    expect(world.state).toEqual({ kind: 'live', agent: 'silent' });
    world.socket.text({ type: 'agent', state: 'answering' });
    expect(world.state).toEqual({ kind: 'live', agent: 'answering' });
  });

  it('gives up on a relay that does not let it attach in time', async () => {
    const world = new World({ ticket: 'plk_first' });
    world.client.start();
    world.socket.open();
    world.clock.advance(ATTACH_DEADLINE_MS);
    expect(world.socket.isClosed).toBe(true);
    await settle();
    expect(world.state.kind).toBe('reconnecting');
  });

  it('ends with what the relay says, and says and waits for nothing afterwards', async () => {
    const world = await World.live();
    const ending = { cause: 'exited', message: 'The process has ended.', exit_code: 0, cleanup: 'not_wanted' };
    world.socket.binary(OUTPUT, 0, bytes('bye'));
    world.socket.text({ type: 'ended', ...ending });
    expect(world.shown).toBe('bye');
    expect(world.state).toEqual({ kind: 'ended', ending });
    expect(world.client.send(bytes('x'))).toBe('over');
    world.client.setNetwork('offline');
    world.client.setNetwork('online');
    await settle();
    expect(world.sockets).toHaveLength(1);
    expect(world.clock.pending).toBe(0);
  });

  it('learns how the session ended from the API when the message was lost', async () => {
    const ending = { cause: 'expired', message: 'Time is up.', exit_code: null, cleanup: 'confirmed' } as const;
    const world = await World.live({ tickets: [{ kind: 'ended', ending }] });
    world.socket.drop(4003);
    await settle();
    expect(world.state).toEqual({ kind: 'ended', ending });
  });

  it.each([
    ['is signed out', { kind: 'unauthenticated' }, { kind: 'unauthenticated' }],
    ['is refused', { kind: 'refused', sentence: 'No such session.' }, { kind: 'failed', sentence: 'No such session.' }],
  ] as const)('stops when it %s', async (_, outcome, state) => {
    const world = await World.live({ tickets: [outcome] });
    world.socket.drop();
    await world.return();
    expect(world.state).toEqual(state);
    expect(world.clock.pending).toBe(0);
  });

  it('keeps trying while no ticket can be had', async () => {
    const world = await World.live({ tickets: [{ kind: 'unavailable' }, { kind: 'unavailable' }] });
    world.socket.drop();
    await world.return();
    await world.return();
    expect(world.sockets).toHaveLength(1);
    await world.return();
    expect(world.sockets).toHaveLength(2);
  });

  it('stops with the reason when the relay closes for good', async () => {
    const world = await World.live();
    world.socket.drop(4004, 'The client sent something that makes no sense.');
    expect(world.state).toEqual({ kind: 'failed', sentence: 'The client sent something that makes no sense.' });
  });

  it('starts over with a snapshot when the relay sends nonsense', async () => {
    const world = await World.live();
    world.socket.binary(OUTPUT, 0, bytes('abc'));
    world.socket.text({ type: 'agent', state: 'confused' });
    await world.return();
    expect(world.socket.texts[0]).toMatchObject({ have: null });
  });

  it('asks for the end over the connection, where there is one', async () => {
    const world = await World.live();
    expect(world.client.requestEnd()).toBe(true);
    expect(world.socket.texts.at(-1)).toEqual({ type: 'close' });
    world.socket.drop();
    expect(world.client.requestEnd()).toBe(false);
  });

  it('only detaches when it is disposed of', async () => {
    const world = await World.live();
    world.client.dispose();
    expect(world.socket.isClosed).toBe(true);
    expect(world.socket.texts.map((message) => message['type'])).toEqual(['attach']);
    expect(world.clock.pending).toBe(0);
  });

  it('loses and doubles nothing whatever the connection does', async () => {
    let seed = 7;
    const draw = (limit: number) => {
      seed = (seed * 1103515245 + 12345) % 2147483648;
      return seed % limit;
    };
    for (let round = 0; round < 60; round++) {
      const world = await World.live();
      const relay = { output: bytes('0123456789'.repeat(30)), sent: 0, applied: [] as number[] };
      let typed = '';
      for (let step = 0; step < 60; step++) {
        const action = draw(5);
        if (action === 0) {
          const more = String(step % 10).repeat(draw(4));
          typed += more;
          world.client.send(bytes(more));
        } else if (action === 1) {
          const size = draw(12);
          const from = Math.max(0, relay.sent - draw(3));
          world.socket.binary(OUTPUT, from, relay.output.slice(from, relay.sent + size));
          relay.sent = Math.min(relay.output.length, relay.sent + size);
        } else if (action === 2) {
          world.applyInput(relay.applied, draw(6));
          world.socket.binary(APPLIED, relay.applied.length);
        } else if (action === 3) {
          world.renderAll();
        } else {
          await world.dropAndReturn();
          const have = world.socket.texts[0]?.['have'];
          relay.sent = Math.max(0, Number(have) - draw(3));
          world.attached({ output: relay.sent, input: relay.applied.length });
        }
      }
      world.applyInput(relay.applied, Infinity);
      expect(text(Uint8Array.from(relay.applied))).toBe(typed);
      expect(text(relay.output).startsWith(world.shown)).toBe(true);
      expect(world.shown.length).toBeGreaterThanOrEqual(relay.sent);
    }
  });
});

interface WorldOptions {
  ticket?: string;
  random?: () => number;
  /** What the API answers, in order; tickets after that. */
  tickets?: TicketOutcome[];
}

/** A client with everything around it. */
class World {
  readonly clock = new FakeClock();
  readonly sockets: FakeSocket[] = [];
  readonly client: SessionClient;
  state: ClientState = { kind: 'connecting' };
  shown = '';
  readonly urgencies: Urgency[] = [];
  screen: 'drawing' | 'held' = 'drawing';
  readonly lives: object[] = [];
  readonly observers: number[] = [];
  ticketsAsked = 0;
  #rendered: (() => void)[] = [];
  #writers = 0;

  constructor(options: WorldOptions) {
    const answers = options.tickets ?? [];
    this.client = new SessionClient({
      session: SESSION,
      ticket: options.ticket ?? null,
      size: { columns: 80, rows: 24 },
      clock: this.clock,
      random: options.random ?? (() => 0.5),
      newWriter: () => `writer-${++this.#writers}`,
      sink: {
        write: (data, urgency, rendered) => {
          this.urgencies.push(urgency);
          this.shown += text(data);
          this.#rendered.push(rendered);
        },
        hold: () => (this.screen = 'held'),
        release: () => (this.screen = 'drawing'),
        restore: (data, rendered) => {
          this.shown += `[restore:${text(data)}]`;
          this.#rendered.push(rendered);
        },
      },
      openSocket: () => {
        const socket = new FakeSocket();
        this.sockets.push(socket);
        return socket;
      },
      getTicket: () => {
        this.ticketsAsked += 1;
        return Promise.resolve(answers.shift() ?? { kind: 'ticket', ticket: `plk_${this.ticketsAsked}` });
      },
      onState: (state) => (this.state = state),
      onLife: (life) => this.lives.push(life),
      onObservers: (count) => this.observers.push(count),
    });
  }

  /** A client that is attached to a session without output. */
  static async live(options: WorldOptions = {}): Promise<World> {
    const world = new World({ ...options, ticket: 'plk_first' });
    world.ticketsAsked = 1;
    world.client.start();
    world.socket.open();
    await settle();
    world.attached({ output: 0, input: 0 });
    return world;
  }

  /** The latest socket. */
  get socket(): FakeSocket {
    const socket = this.sockets.at(-1);
    if (socket === undefined) throw new Error('there is no socket');
    return socket;
  }

  attached(offsets: { output: number; input: number }): void {
    this.socket.text({ type: 'attached', session: SESSION, ...offsets });
  }

  /** Lets the wait pass and the next socket open. */
  async return(): Promise<void> {
    this.clock.advance(RECONNECT_CAP_MS);
    await settle();
    this.socket.open();
  }

  async dropAndReturn(): Promise<void> {
    this.socket.drop();
    await this.return();
  }

  /** How long the client waits before its next try. */
  get wait(): number {
    if (this.state.kind !== 'reconnecting' || this.state.retryAt === null) throw new Error('it does not wait');
    return this.state.retryAt - this.clock.now();
  }

  render(writes: number): void {
    for (const rendered of this.#rendered.splice(0, writes)) rendered();
  }

  renderAll(): void {
    this.render(this.#rendered.length);
  }

  /** What was typed, by the frames of the latest socket. */
  get typed(): string {
    return this.socket
      .frames(INPUT)
      .map((frame) => text(frame.bytes))
      .join('');
  }

  /** Applies input as a relay does: each byte once, in order, whatever arrives. */
  applyInput(applied: number[], limit: number): void {
    let left = limit;
    for (const { offset, bytes: data } of this.socket.frames(INPUT)) {
      for (const [index, byte] of data.entries()) {
        if (offset + index !== applied.length || left === 0) continue;
        applied.push(byte);
        left -= 1;
      }
    }
  }
}

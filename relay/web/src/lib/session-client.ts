/**
 * One viewer of one session: attaches over the terminal WebSocket, and comes back after every loss of connection without
 * losing or doubling a byte in either direction. No DOM and no terminal here: time, randomness, sockets and tickets are
 * given, output goes to an {@link OutputSink}.
 */
import { DrawingWindow, FIRST_WINDOW_BYTES, LARGEST_WINDOW_BYTES } from './drawing-window';
import { InputQueue } from './input-queue';
import { Interrupt, isInterrupt } from './interrupt';
import {
  closeKind,
  decodeServerMessage,
  encodeClientMessage,
  type AgentState,
  type ClientMessage,
  type ServerMessage,
  type SessionEnding,
  type SessionLife,
  type TerminalSize,
} from './protocol';
import { fullJitter, type Clock, type TimerId } from './timing';

/** From dialling to `attached`. Beyond it another try is more likely to work than this one. */
export const ATTACH_DEADLINE_MS = 10_000;

/** Total silence for this long, while input waits to be confirmed, means that the connection is dead. */
export const SILENCE_DEADLINE_MS = 10_000;

/** A connection that lived this long was a good one: the next loss starts with a short wait again. */
export const STABLE_AFTER_MS = 5_000;

/** Reconnect waits are drawn from 0 to this times a power of two … */
export const RECONNECT_BASE_MS = 500;

/** … but never from more than this: somebody is looking at the screen. */
export const RECONNECT_CAP_MS = 10_000;

/** Rendered bytes after which the relay is told, also while more is waiting. A fraction of the smallest window. */
export const RENDERED_STEP_BYTES = 8 * 1024;

/** Whether output is waited for, or was `overtaken` by an interrupt: its end is enough then. */
export type Urgency = 'wanted' | 'overtaken';

/**
 * Where output goes. Calls come in order; `rendered` is called once the bytes are on the screen, in order too, and may be
 * left out where that of later bytes is called at the same moment.
 */
export interface OutputSink {
  write(bytes: Uint8Array, urgency: Urgency, rendered: () => void): void;
  /** Keeps what is not drawn yet, and what comes, until it is released. */
  hold(): void;
  release(): void;
  /** Replaces what is on the screen; nothing that these bytes ask of a terminal is answered. */
  restore(bytes: Uint8Array, rendered: () => void): void;
}

/** What the API says when asked for a ticket. */
export type TicketOutcome =
  | { readonly kind: 'ticket'; readonly ticket: string }
  | { readonly kind: 'ended'; readonly ending: SessionEnding }
  | { readonly kind: 'unauthenticated' }
  | { readonly kind: 'refused'; readonly sentence: string }
  /** Worth another try. */
  | { readonly kind: 'unavailable' };

/** The part of a WebSocket that is used. */
export interface Socket {
  binaryType: string;
  onopen: ((event: Event) => void) | null;
  onmessage: ((event: MessageEvent) => void) | null;
  onclose: ((event: CloseEvent) => void) | null;
  send(data: string | Uint8Array<ArrayBuffer>): void;
  close(code?: number): void;
}

/** What the person is shown. */
export type ClientState =
  | { readonly kind: 'connecting' }
  | { readonly kind: 'live'; readonly agent: AgentState }
  /** `retryAt` is `null` while a try is under way. */
  | { readonly kind: 'reconnecting'; readonly retryAt: number | null; readonly network: Network }
  | { readonly kind: 'ended'; readonly ending: SessionEnding }
  | { readonly kind: 'unauthenticated' }
  | { readonly kind: 'failed'; readonly sentence: string };

/** What the browser says about its network. */
export type Network = 'online' | 'offline';

/** What happens to input. */
export type InputOutcome = 'queued' | 'too_much' | 'over';

export interface SessionClientOptions {
  readonly session: string;
  /** A ticket that came with the session's creation, if this page created it. */
  readonly ticket: string | null;
  readonly size: TerminalSize;
  readonly sink: OutputSink;
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  /** 16 random hex digits. */
  readonly newWriter: () => string;
  readonly openSocket: () => Socket;
  readonly getTicket: () => Promise<TicketOutcome>;
  readonly onState: (state: ClientState) => void;
  /** The relay says how long the session may go on. */
  readonly onLife: (life: SessionLife) => void;
  /** The relay says how many people watch: only to those who are watched. */
  readonly onObservers?: (count: number) => void;
  /** The relay says what size the terminal has: only to those who watch. */
  readonly onSize?: (size: TerminalSize) => void;
}

/** Where the connection stands. Data that only lives as long as a connection lives in here. */
type Phase =
  | { readonly kind: 'idle' }
  | { readonly kind: 'fetching' }
  | { readonly kind: 'attaching'; readonly socket: Socket; readonly deadline: TimerId }
  | { readonly kind: 'attached'; readonly socket: Socket; readonly since: number; sentSize: TerminalSize }
  | { readonly kind: 'waiting'; readonly timer: TimerId }
  | { readonly kind: 'over' };

export class SessionClient {
  readonly #options: SessionClientOptions;
  readonly #input = new InputQueue();
  readonly #window = new DrawingWindow();
  #phase: Phase = { kind: 'idle' };
  #state: ClientState = { kind: 'connecting' };
  #network: Network = 'online';
  #ticket: string | null;
  #writer: string;
  #size: TerminalSize;
  /** Output below this was handed to the sink; `null` asks for a snapshot. */
  #received: number | null = null;
  #rendered = 0;
  #acknowledged = 0;
  /** What the relay was asked for on this connection. */
  #askedWindow = FIRST_WINDOW_BYTES;
  readonly #interrupt: Interrupt;
  #failures = 0;
  #watchdog: TimerId | null = null;

  constructor(options: SessionClientOptions) {
    this.#options = options;
    this.#ticket = options.ticket;
    this.#size = options.size;
    this.#writer = options.newWriter();
    this.#interrupt = new Interrupt(options.sink, options.clock, () => {
      this.#askForWindow();
    });
  }

  get state(): ClientState {
    return this.#state;
  }

  /** Bytes typed that are not known to be applied. */
  get pendingInputBytes(): number {
    return this.#input.pendingBytes;
  }

  /** Attaches for the first time. */
  start(): void {
    if (this.#phase.kind === 'idle') this.#dial();
  }

  /** Takes input; it goes out in order, now or after the next attach. */
  send(bytes: Uint8Array): InputOutcome {
    if (this.#phase.kind === 'over') return 'over';
    if (!this.#input.push(bytes)) return 'too_much';
    if (isInterrupt(bytes)) this.#interrupt.press(this.#input.end);
    else this.#interrupt.answer(this.#received ?? 0);
    this.#pump();
    return 'queued';
  }

  /** Tells the terminal's new size; only the latest counts. */
  resize(size: TerminalSize): void {
    this.#size = size;
    const phase = this.#phase;
    if (phase.kind !== 'attached') return;
    if (phase.sentSize.columns === size.columns && phase.sentSize.rows === size.rows) return;
    phase.sentSize = size;
    this.#post(phase.socket, { type: 'resize', ...size });
  }

  /** Asks the relay to end the session for good; `false` when there is no connection to ask over. */
  requestEnd(): boolean {
    if (this.#phase.kind !== 'attached') return false;
    this.#post(this.#phase.socket, { type: 'close' });
    return true;
  }

  /** Tries now instead of at the end of the wait. */
  retryNow(): void {
    if (this.#phase.kind === 'waiting') this.#dial();
  }

  /** The browser's network went or came. A connection that lived through that may be dead, so a new one is made. */
  setNetwork(network: Network): void {
    if (network === this.#network) return;
    this.#network = network;
    if (this.#phase.kind === 'over' || this.#phase.kind === 'idle') return;
    if (network === 'online') {
      this.#failures = 0;
      this.#dial();
    } else if (this.#state.kind === 'reconnecting') {
      this.#show({ ...this.#state, network });
    }
  }

  /** Detaches; the session lives on. */
  dispose(): void {
    this.#interrupt.release();
    this.#enter({ kind: 'over' });
  }

  #dial(): void {
    this.#enter({ kind: 'fetching' });
    this.#show(
      this.#state.kind === 'connecting' ? this.#state : { kind: 'reconnecting', retryAt: null, network: this.#network },
    );
    const ticket = this.#ticket;
    this.#ticket = null;
    if (ticket === null) void this.#fetchTicket(this.#phase);
    else this.#attach(ticket);
  }

  async #fetchTicket(phase: Phase): Promise<void> {
    const outcome = await this.#options.getTicket();
    if (this.#phase !== phase) return;
    switch (outcome.kind) {
      case 'ticket':
        this.#attach(outcome.ticket);
        break;
      case 'unavailable':
        this.#retryLater();
        break;
      case 'unauthenticated':
        this.#finish(outcome);
        break;
      case 'ended':
        this.#finish(outcome);
        break;
      case 'refused':
        this.#finish({ kind: 'failed', sentence: outcome.sentence });
        break;
    }
  }

  #attach(ticket: string): void {
    const socket = this.#options.openSocket();
    socket.binaryType = 'arraybuffer';
    const deadline = this.#options.clock.setTimeout(() => {
      this.#retryLater();
    }, ATTACH_DEADLINE_MS);
    this.#enter({ kind: 'attaching', socket, deadline });
    socket.onopen = () => {
      this.#post(socket, { type: 'attach', ticket, writer: this.#writer, have: this.#received, ...this.#size });
    };
    socket.onmessage = (event) => {
      this.#receive(socket, event.data);
    };
    socket.onclose = (event) => {
      this.#closed(event);
    };
  }

  #receive(socket: Socket, data: unknown): void {
    let message: ServerMessage;
    try {
      if (typeof data !== 'string' && !(data instanceof ArrayBuffer)) return;
      message = decodeServerMessage(data);
    } catch {
      this.#startOver();
      return;
    }
    this.#handle(socket, message);
    this.#guardSilence();
  }

  #handle(socket: Socket, message: ServerMessage): void {
    switch (message.type) {
      case 'attached':
        this.#attached(socket, message);
        break;
      case 'output':
        this.#output(message.offset, message.bytes);
        break;
      case 'left_out':
        // What it stands for is never drawn, and says nothing of the terminal's pace.
        this.#rendered = Math.max(this.#rendered, message.offset - message.bytes.length);
        this.#draw(message.offset, message.bytes);
        break;
      case 'snapshot':
        this.#received = message.offset;
        this.#interrupt.answer(message.offset);
        this.#options.sink.restore(message.bytes, () => {
          this.#markRendered(message.offset);
        });
        break;
      case 'applied':
        this.#interrupt.applied(message.offset, this.#received ?? 0);
        this.#askForWindow();
        this.#acknowledge();
        if (this.#input.forget(message.offset)) this.#pump();
        else this.#changeWriter();
        break;
      case 'resend':
        // The agent has forgotten this writer, or never knew so much of it.
        if (this.#input.rewind(message.input)) this.#pump();
        else this.#changeWriter();
        break;
      case 'agent':
        if (this.#phase.kind === 'attached') this.#show({ kind: 'live', agent: message.state });
        break;
      case 'life':
        this.#options.onLife(message.life);
        break;
      case 'observers':
        this.#options.onObservers?.(message.count);
        break;
      case 'size':
        this.#options.onSize?.(message);
        break;
      case 'ended':
        this.#finish({ kind: 'ended', ending: message.ending });
        break;
      case 'unknown':
        break;
    }
  }

  #attached(socket: Socket, message: { session: string; output: number; input: number }): void {
    if (this.#phase.kind !== 'attaching' || message.session !== this.#options.session) {
      this.#startOver();
      return;
    }
    this.#options.clock.clearTimeout(this.#phase.deadline);
    this.#received ??= message.output;
    this.#acknowledged = message.output;
    this.#phase = { kind: 'attached', socket, since: this.#options.clock.now(), sentSize: this.#size };
    this.#show({ kind: 'live', agent: 'answering' });
    this.#askedWindow = FIRST_WINDOW_BYTES;
    this.#askForWindow();
    // A relay that was restarted knows of no input before it has the agent, and asks again when it has.
    if (this.#input.rewind(Math.max(message.input, this.#input.applied))) this.#pump();
    else this.#changeWriter();
    this.#acknowledge();
  }

  #output(offset: number, bytes: Uint8Array): void {
    const received = this.#received ?? offset;
    if (offset > received) {
      this.#startOver();
      return;
    }
    const fresh = bytes.subarray(Math.min(bytes.length, received - offset));
    if (fresh.length === 0) return;
    this.#draw(received + fresh.length, fresh);
  }

  /** Has the next output drawn, up to `end`. */
  #draw(end: number, bytes: Uint8Array): void {
    this.#received = end;
    this.#window.busy(this.#options.clock.now());
    const urgency = this.#interrupt.arrived(end, end - this.#rendered);
    this.#options.sink.write(bytes, urgency, () => {
      this.#markRendered(end);
    });
    this.#askForWindow();
    if (urgency === 'overtaken') this.#acknowledge();
  }

  #markRendered(offset: number): void {
    const rest = this.#received === offset ? 'none' : 'some';
    // What was overtaken says nothing of the terminal's pace: it may not have been drawn.
    const drawn = offset <= this.#interrupt.overtakenOf(offset) ? 0 : Math.max(offset - this.#rendered, 0);
    this.#window.drawn(drawn, rest, this.#options.clock.now());
    this.#rendered = Math.max(offset, this.#rendered);
    this.#askForWindow();
    this.#acknowledge();
  }

  /** Says how much may be under way, where that is something else than before. */
  #askForWindow(): void {
    const bytes = this.#interrupt.isFetching ? LARGEST_WINDOW_BYTES : this.#window.bytes;
    if (this.#phase.kind !== 'attached' || bytes === this.#askedWindow) return;
    this.#askedWindow = bytes;
    this.#post(this.#phase.socket, { type: 'window', bytes });
  }

  /** Tells the relay how far it may go on: it sends a window beyond that. */
  #acknowledge(): void {
    if (this.#phase.kind !== 'attached' || this.#received === null) return;
    const reached = Math.max(this.#rendered, this.#interrupt.overtakenOf(this.#received));
    const step = reached - this.#acknowledged;
    if (step <= 0 || (reached < this.#received && step < RENDERED_STEP_BYTES)) return;
    this.#acknowledged = reached;
    this.#post(this.#phase.socket, { type: 'rendered', offset: reached });
  }

  #pump(): void {
    if (this.#phase.kind !== 'attached') return;
    for (let chunk = this.#input.take(); chunk !== null; chunk = this.#input.take()) {
      this.#post(this.#phase.socket, { type: 'input', ...chunk });
    }
    if (this.#watchdog === null) this.#guardSilence();
  }

  /** Every message of the relay puts the deadline off; no deadline runs while there is nothing to wait for. */
  #guardSilence(): void {
    this.#stopWatchdog();
    const waits = this.#state.kind === 'live' && this.#state.agent === 'answering' && this.#input.isAwaiting;
    if (!waits) return;
    this.#watchdog = this.#options.clock.setTimeout(() => {
      this.#retryLater();
    }, SILENCE_DEADLINE_MS);
  }

  #stopWatchdog(): void {
    if (this.#watchdog !== null) this.#options.clock.clearTimeout(this.#watchdog);
    this.#watchdog = null;
  }

  /** The relay does not know this writer's positions any more: what is left is sent under a new name. */
  #changeWriter(): void {
    this.#writer = this.#options.newWriter();
    this.#input.renumber();
    this.#retryLater();
  }

  /** The relay's messages made no sense: attach anew and take a snapshot. */
  #startOver(): void {
    this.#received = null;
    this.#retryLater();
  }

  #closed(event: { code: number; reason: string }): void {
    if (closeKind(event.code) === 'reconnect') {
      this.#retryLater();
    } else if (event.code === 4000 || event.code === 4003) {
      // The `ended` message was lost on the way: the API tells how the session ended.
      this.#dial();
    } else {
      this.#finish({ kind: 'failed', sentence: event.reason || 'The relay closed the connection for good.' });
    }
  }

  #retryLater(): void {
    const { clock, random } = this.#options;
    if (this.#phase.kind === 'attached' && clock.now() - this.#phase.since >= STABLE_AFTER_MS) this.#failures = 0;
    const delay = fullJitter(this.#failures, RECONNECT_BASE_MS, RECONNECT_CAP_MS, random);
    this.#failures += 1;
    const timer = clock.setTimeout(() => {
      this.#dial();
    }, delay);
    this.#enter({ kind: 'waiting', timer });
    this.#show({ kind: 'reconnecting', retryAt: clock.now() + delay, network: this.#network });
  }

  #finish(state: ClientState): void {
    this.#interrupt.release();
    this.#enter({ kind: 'over' });
    this.#show(state);
  }

  /** Leaves the present phase for good: its socket and its timers go with it. */
  #enter(phase: Phase): void {
    const left = this.#phase;
    this.#phase = phase;
    this.#stopWatchdog();
    if (left.kind === 'waiting') this.#options.clock.clearTimeout(left.timer);
    if (left.kind === 'attaching') this.#options.clock.clearTimeout(left.deadline);
    const socket = left.kind === 'attaching' || left.kind === 'attached' ? left.socket : null;
    if (socket === null) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close(1000);
  }

  #post(socket: Socket, message: ClientMessage): void {
    socket.send(encodeClientMessage(message));
  }

  #show(state: ClientState): void {
    this.#state = state;
    this.#options.onState(state);
  }
}

/**
 * The terminal WebSocket's messages. Text frames are JSON; binary frames are one kind byte, an offset as an unsigned
 * 64-bit big-endian number, and bytes. Pure: no socket, no DOM. `fixtures/terminal-protocol.json` has samples that the
 * relay's tests read too.
 */
import {
  boolean,
  count,
  integer,
  nullable,
  object,
  oneOf,
  parseJson,
  ParseError,
  string,
  tag,
  type Parsed,
} from './parse';

/** Largest run of input bytes in one frame. */
export const MAX_INPUT_FRAME_BYTES = 16 * 1024;

/** How far input may run ahead of what was applied. */
export const INPUT_WINDOW_BYTES = 256 * 1024;

/** The session ended; the `ended` message before it says why. */
export const CLOSE_SESSION_ENDED = 4000;

/** The session ended before the viewer came. */
export const CLOSE_SESSION_GONE = 4003;

const HEADER_BYTES = 9;

const FRAME_KIND = {
  input: 0x01,
  rendered: 0x02,
  output: 0x11,
  applied: 0x12,
  snapshot: 0x13,
  leftOut: 0x14,
} as const;

/** A terminal's size in cells. */
export interface TerminalSize {
  readonly columns: number;
  readonly rows: number;
}

/** What the client says. The first message is `attach`. */
export type ClientMessage =
  | ({
      readonly type: 'attach';
      readonly ticket: string;
      /** 16 hex digits, drawn for each page load: whose input offsets these are. */
      readonly writer: string;
      /** Output below this offset is here already; `null` asks for a snapshot of the screen. */
      readonly have: number | null;
    } & TerminalSize)
  | ({ readonly type: 'resize' } & TerminalSize)
  /** At most so much output is to be under way beyond what was rendered. */
  | { readonly type: 'window'; readonly bytes: number }
  /** End the session for good. Closing the socket only detaches. */
  | { readonly type: 'close' }
  | { readonly type: 'input'; readonly offset: number; readonly bytes: Uint8Array }
  /** Output below this offset was rendered. */
  | { readonly type: 'rendered'; readonly offset: number };

const attached = object({ session: string, output: count, input: count });
const resend = object({ input: count });
const agent = object({ state: oneOf('answering', 'silent') });
const life = object({
  expires_in_ms: nullable(count),
  idle: boolean,
  idle_since_ms: nullable(count),
  idle_closes_in_ms: nullable(count),
});
const size = object({ columns: count, rows: count });
const observers = object({ count });
const ended = object({
  cause: string,
  message: string,
  exit_code: nullable(integer),
  cleanup: nullable(oneOf('not_wanted', 'confirmed', 'unconfirmed')),
});

/** Whether the cluster's agent answers. */
export type AgentState = Parsed<typeof agent>['state'];

/** How long the session may go on, from now, and whether somebody types. */
export type SessionLife = Parsed<typeof life>;

/** How a session ended. `message` is a sentence for a person. */
export type SessionEnding = Parsed<typeof ended>;

/** What the relay says. */
export type ServerMessage =
  | ({ readonly type: 'attached' } & Parsed<typeof attached>)
  | ({ readonly type: 'resend' } & Parsed<typeof resend>)
  | { readonly type: 'agent'; readonly state: AgentState }
  | { readonly type: 'life'; readonly life: SessionLife }
  /** Which size the terminal has, for those who do not choose it. */
  | ({ readonly type: 'size' } & TerminalSize)
  /** How many people watch, for those who work in the session. */
  | ({ readonly type: 'observers' } & Parsed<typeof observers>)
  | { readonly type: 'ended'; readonly ending: SessionEnding }
  | { readonly type: 'output'; readonly offset: number; readonly bytes: Uint8Array }
  /** Input below this offset was handed to the process and may be forgotten. */
  | { readonly type: 'applied'; readonly offset: number }
  /** Reset the terminal, write these bytes; output goes on at the offset. */
  | { readonly type: 'snapshot'; readonly offset: number; readonly bytes: Uint8Array }
  /** Write these bytes in place of the output up to the offset. */
  | { readonly type: 'left_out'; readonly offset: number; readonly bytes: Uint8Array }
  /** A kind that a newer relay knows; to be skipped. */
  | { readonly type: 'unknown' };

/** Encodes a message: text or binary frame. */
export function encodeClientMessage(message: ClientMessage): string | Uint8Array<ArrayBuffer> {
  switch (message.type) {
    case 'input':
      return binary(FRAME_KIND.input, message.offset, message.bytes);
    case 'rendered':
      return binary(FRAME_KIND.rendered, message.offset, new Uint8Array());
    case 'attach':
    case 'resize':
    case 'window':
    case 'close':
      return JSON.stringify(message);
  }
}

/**
 * Decodes a message of the relay.
 *
 * @throws ParseError when it does not have the promised shape.
 */
export function decodeServerMessage(data: string | ArrayBuffer): ServerMessage {
  return typeof data === 'string' ? parseJson(data, decodeText) : decodeBinary(new Uint8Array(data));
}

/** What a close code asks of the client. */
export type CloseKind = 'final' | 'reconnect';

/** 4000 to 4099 are final; everything else, the network's own codes included, asks to reconnect with a new ticket. */
export function closeKind(code: number): CloseKind {
  return code >= 4000 && code <= 4099 ? 'final' : 'reconnect';
}

function decodeText(value: unknown, path: string): ServerMessage {
  switch (tag(value, 'type')) {
    case 'attached':
      return { type: 'attached', ...attached(value, path) };
    case 'resend':
      return { type: 'resend', ...resend(value, path) };
    case 'agent':
      return { type: 'agent', ...agent(value, path) };
    case 'life':
      return { type: 'life', life: life(value, path) };
    case 'size':
      return { type: 'size', ...size(value, path) };
    case 'observers':
      return { type: 'observers', ...observers(value, path) };
    case 'ended':
      return { type: 'ended', ending: ended(value, path) };
    default:
      return { type: 'unknown' };
  }
}

function decodeBinary(frame: Uint8Array): ServerMessage {
  const kind = frame[0];
  if (kind === undefined) throw new ParseError('the frame is empty');
  switch (kind) {
    case FRAME_KIND.output:
      return { type: 'output', offset: offsetOf(frame), bytes: frame.subarray(HEADER_BYTES) };
    case FRAME_KIND.snapshot:
      return { type: 'snapshot', offset: offsetOf(frame), bytes: frame.subarray(HEADER_BYTES) };
    case FRAME_KIND.leftOut:
      return { type: 'left_out', offset: offsetOf(frame), bytes: frame.subarray(HEADER_BYTES) };
    case FRAME_KIND.applied:
      if (frame.length !== HEADER_BYTES) throw new ParseError('the frame has an impossible length');
      return { type: 'applied', offset: offsetOf(frame) };
    default:
      return { type: 'unknown' };
  }
}

function offsetOf(frame: Uint8Array): number {
  if (frame.length < HEADER_BYTES) throw new ParseError('the frame has an impossible length');
  const offset = new DataView(frame.buffer, frame.byteOffset).getBigUint64(1);
  if (offset > BigInt(Number.MAX_SAFE_INTEGER)) throw new ParseError('the offset is beyond any possible session');
  return Number(offset);
}

function binary(kind: number, offset: number, bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const frame = new Uint8Array(HEADER_BYTES + bytes.length);
  frame[0] = kind;
  new DataView(frame.buffer).setBigUint64(1, BigInt(offset));
  frame.set(bytes, HEADER_BYTES);
  return frame;
}

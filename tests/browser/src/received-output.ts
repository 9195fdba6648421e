/** The output bytes that reach a page over its terminal WebSockets, put together by their offsets. */
import type { Page } from 'playwright-core';

const INPUT = 0x01;
const OUTPUT = 0x11;
const LEFT_OUT = 0x14;
const HEADER_BYTES = 9;

export class ReceivedOutput {
  #parts: Buffer[] = [];
  #end: number | null = null;
  /** How many bytes had come when Ctrl-C was sent. */
  #interrupted = 0;
  #received = 0;
  /** Offsets where bytes were missing. */
  readonly gaps: number[] = [];

  /** Listens from now on, to every WebSocket that the page opens. */
  constructor(page: Page) {
    page.on('websocket', (socket) => {
      socket.on('framesent', ({ payload }) => {
        if (typeof payload !== 'string' && payload[0] === INPUT && payload.at(-1) === 0x03)
          this.#interrupted = this.#received;
      });
      socket.on('framereceived', ({ payload }) => {
        if (typeof payload === 'string') return;
        if (payload[0] === OUTPUT) this.#take(payload);
        // What an interrupt overtook is not sent.
        if (payload[0] === LEFT_OUT) this.#end = Math.max(this.#end ?? 0, Number(payload.readBigUInt64BE(1)));
      });
    });
  }

  /** Everything so far, each byte once. */
  bytes(): Buffer {
    this.#parts = [Buffer.concat(this.#parts)];
    return this.#parts[0] ?? Buffer.alloc(0);
  }

  /** How many bytes have come since Ctrl-C was sent. */
  get sinceInterrupt(): number {
    return this.#received - this.#interrupted;
  }

  #take(frame: Buffer): void {
    const offset = Number(frame.readBigUInt64BE(1));
    const body = frame.subarray(HEADER_BYTES);
    const end = (this.#end ??= offset);
    if (offset > end) this.gaps.push(end);
    const fresh = body.subarray(Math.max(0, end - offset));
    this.#parts.push(fresh);
    this.#received += fresh.length;
    this.#end = Math.max(end, offset + body.length);
  }
}

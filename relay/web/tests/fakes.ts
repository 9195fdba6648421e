/** A clock that stands until it is told to go on, and sockets that do what a test says. */
import type { Socket } from '../src/lib/session-client';
import type { Clock, TimerId } from '../src/lib/timing';

export class FakeClock implements Clock {
  #now = 1_000_000;
  #next = 1;
  readonly #timers = new Map<TimerId, { at: number; callback: () => void }>();

  now(): number {
    return this.#now;
  }

  setTimeout(callback: () => void, milliseconds: number): TimerId {
    const id = this.#next++;
    this.#timers.set(id, { at: this.#now + milliseconds, callback });
    return id;
  }

  clearTimeout(timer: TimerId): void {
    this.#timers.delete(timer);
  }

  get pending(): number {
    return this.#timers.size;
  }

  /** Lets time pass, running what falls due in its order. */
  advance(milliseconds: number): void {
    const end = this.#now + milliseconds;
    for (;;) {
      const due = [...this.#timers].filter(([, timer]) => timer.at <= end).sort(([, a], [, b]) => a.at - b.at)[0];
      if (due === undefined) break;
      const [id, timer] = due;
      this.#timers.delete(id);
      this.#now = Math.max(this.#now, timer.at);
      timer.callback();
    }
    this.#now = end;
  }
}

export class FakeSocket implements Socket {
  binaryType = 'blob';
  onopen: Socket['onopen'] = null;
  onmessage: Socket['onmessage'] = null;
  onclose: Socket['onclose'] = null;
  readonly sent: (string | Uint8Array)[] = [];
  isClosed = false;

  send(data: string | Uint8Array<ArrayBuffer>): void {
    this.sent.push(data);
  }

  close(): void {
    this.isClosed = true;
  }

  open(): void {
    this.onopen?.(new Event('open'));
  }

  /** The relay says something. */
  text(message: object): void {
    this.onmessage?.({ data: JSON.stringify(message) } as MessageEvent);
  }

  /** The relay sends a binary frame. */
  binary(kind: number, offset: number, bytes: Uint8Array = new Uint8Array()): void {
    const frame = new Uint8Array(9 + bytes.length);
    frame[0] = kind;
    new DataView(frame.buffer).setBigUint64(1, BigInt(offset));
    frame.set(bytes, 9);
    this.onmessage?.({ data: frame.buffer } as MessageEvent);
  }

  drop(code = 1006, reason = ''): void {
    this.onclose?.({ code, reason } as CloseEvent);
  }

  /** The JSON messages that were sent. */
  get texts(): Record<string, unknown>[] {
    return this.sent
      .filter((data) => typeof data === 'string')
      .map((data) => JSON.parse(data) as Record<string, unknown>);
  }

  /** The binary frames of one kind that were sent, as offset and bytes. */
  frames(kind: number): { offset: number; bytes: Uint8Array }[] {
    return this.sent
      .filter((data) => data instanceof Uint8Array && data[0] === kind)
      .map((data) => data as Uint8Array)
      .map((data) => ({
        offset: Number(new DataView(data.buffer, data.byteOffset).getBigUint64(1)),
        bytes: data.slice(9),
      }));
  }
}

/** Lets promises that are already settled run their continuations. */
export async function settle(): Promise<void> {
  await new Promise<void>((resolve) => {
    setImmediate(resolve);
  });
}

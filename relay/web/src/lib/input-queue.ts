/**
 * What was typed and is not known to be applied yet. Bytes are numbered from this writer's first one; the relay says up
 * to where they were applied, and from where it wants them again. Pure.
 */
import { INPUT_WINDOW_BYTES, MAX_INPUT_FRAME_BYTES } from './protocol';

/** Most that is kept for a relay that does not take it: beyond any sensible paste, far below what harms a browser. */
export const MAX_QUEUED_INPUT_BYTES = 16 * 1024 * 1024;

/** A run of input at its place. */
export interface InputChunk {
  readonly offset: number;
  readonly bytes: Uint8Array;
}

export class InputQueue {
  #chunks: InputChunk[] = [];
  #applied = 0;
  #next = 0;
  #end = 0;

  /** Offset of the first byte that may still be needed. */
  get applied(): number {
    return this.#applied;
  }

  /** Offset behind the last byte. */
  get end(): number {
    return this.#end;
  }

  /** Bytes that are not known to be applied. */
  get pendingBytes(): number {
    return this.#end - this.#applied;
  }

  /** Whether bytes were sent whose application has not been confirmed. */
  get isAwaiting(): boolean {
    return this.#next > this.#applied;
  }

  /** Appends input; `false` when it is too much to keep, and then nothing of it was taken. */
  push(bytes: Uint8Array): boolean {
    if (this.pendingBytes + bytes.length > MAX_QUEUED_INPUT_BYTES) return false;
    for (let start = 0; start < bytes.length; start += MAX_INPUT_FRAME_BYTES) {
      const part = bytes.slice(start, start + MAX_INPUT_FRAME_BYTES);
      this.#chunks.push({ offset: this.#end, bytes: part });
      this.#end += part.length;
    }
    return true;
  }

  /** The next run to send, at most one frame long and within the window; `null` when there is none. */
  take(): InputChunk | null {
    const limit = Math.min(this.#end, this.#applied + INPUT_WINDOW_BYTES);
    if (this.#next >= limit) return null;
    const chunk = this.#chunkAt(this.#next);
    const start = this.#next - chunk.offset;
    const bytes = chunk.bytes.subarray(start, Math.min(chunk.bytes.length, start + limit - this.#next));
    const taken = { offset: this.#next, bytes };
    this.#next += bytes.length;
    return taken;
  }

  /** Forgets what was applied; `false` when the offset is one that was never sent. */
  forget(offset: number): boolean {
    if (offset > this.#end) return false;
    if (offset <= this.#applied) return true;
    this.#applied = offset;
    this.#next = Math.max(this.#next, offset);
    const keep = this.#chunks.findIndex((chunk) => chunk.offset + chunk.bytes.length > offset);
    this.#chunks.splice(0, keep === -1 ? this.#chunks.length : keep);
    return true;
  }

  /** Sends again from here on; `false` when those bytes are gone, or were never there. */
  rewind(offset: number): boolean {
    if (offset < this.#applied || offset > this.#end) return false;
    this.#next = offset;
    return true;
  }

  /** Numbers what is left from 0 on, for a new writer. */
  renumber(): void {
    const applied = this.#applied;
    const left = this.#chunks.map((chunk) => chunk.bytes.subarray(Math.max(0, applied - chunk.offset)));
    this.#chunks = [];
    this.#applied = this.#next = this.#end = 0;
    for (const bytes of left) this.push(bytes);
  }

  #chunkAt(offset: number): InputChunk {
    let low = 0;
    let high = this.#chunks.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((this.#chunks[middle]?.offset ?? Infinity) <= offset) low = middle;
      else high = middle - 1;
    }
    const chunk = this.#chunks[low];
    if (chunk === undefined) throw new RangeError(`no input at offset ${offset}`);
    return chunk;
  }
}

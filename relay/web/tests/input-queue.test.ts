import { describe, expect, it } from 'vitest';
import { InputQueue, MAX_QUEUED_INPUT_BYTES, type InputChunk } from '../src/lib/input-queue';
import { INPUT_WINDOW_BYTES, MAX_INPUT_FRAME_BYTES } from '../src/lib/protocol';

function takeAll(queue: InputQueue): InputChunk[] {
  const chunks: InputChunk[] = [];
  for (let chunk = queue.take(); chunk !== null; chunk = queue.take()) chunks.push(chunk);
  return chunks;
}

const sizes = (chunks: InputChunk[]) => chunks.map((chunk) => chunk.bytes.length);
const total = (chunks: InputChunk[]) => sizes(chunks).reduce((sum, size) => sum + size, 0);

describe('the input queue', () => {
  it('cuts input into frames and numbers them', () => {
    const queue = new InputQueue();
    queue.push(new Uint8Array(MAX_INPUT_FRAME_BYTES + 5));
    queue.push(new Uint8Array(3));
    const chunks = takeAll(queue);
    expect(sizes(chunks)).toEqual([MAX_INPUT_FRAME_BYTES, 5, 3]);
    expect(chunks.map((chunk) => chunk.offset)).toEqual([0, MAX_INPUT_FRAME_BYTES, MAX_INPUT_FRAME_BYTES + 5]);
  });

  it('sends no more than the window ahead of what was applied', () => {
    const queue = new InputQueue();
    queue.push(new Uint8Array(1024 * 1024));
    expect(total(takeAll(queue))).toBe(INPUT_WINDOW_BYTES);
    queue.forget(1000);
    expect(total(takeAll(queue))).toBe(1000);
    expect(queue.pendingBytes).toBe(1024 * 1024 - 1000);
  });

  it('sends again from where the relay wants it, also from inside a chunk', () => {
    const queue = new InputQueue();
    queue.push(Uint8Array.of(1, 2, 3, 4, 5));
    takeAll(queue);
    queue.forget(1);
    expect(queue.rewind(3)).toBe(true);
    expect(takeAll(queue)).toEqual([{ offset: 3, bytes: Uint8Array.of(4, 5) }]);
  });

  it('refuses positions that it cannot serve', () => {
    const queue = new InputQueue();
    queue.push(Uint8Array.of(1, 2, 3));
    takeAll(queue);
    queue.forget(2);
    expect(queue.rewind(1)).toBe(false);
    expect(queue.rewind(4)).toBe(false);
    expect(queue.forget(4)).toBe(false);
    expect(queue.forget(1)).toBe(true);
    expect(queue.applied).toBe(2);
  });

  it('numbers what is left from zero for a new writer', () => {
    const queue = new InputQueue();
    queue.push(Uint8Array.of(1, 2, 3));
    queue.push(Uint8Array.of(4));
    takeAll(queue);
    queue.forget(2);
    queue.renumber();
    expect(takeAll(queue)).toEqual([
      { offset: 0, bytes: Uint8Array.of(3) },
      { offset: 1, bytes: Uint8Array.of(4) },
    ]);
  });

  it('takes nothing of an input that is too much to keep', () => {
    const queue = new InputQueue();
    expect(queue.push(new Uint8Array(MAX_QUEUED_INPUT_BYTES))).toBe(true);
    expect(queue.push(Uint8Array.of(1))).toBe(false);
    expect(queue.pendingBytes).toBe(MAX_QUEUED_INPUT_BYTES);
  });

  it('knows whether anything sent is still unconfirmed', () => {
    const queue = new InputQueue();
    queue.push(Uint8Array.of(1, 2));
    expect(queue.isAwaiting).toBe(false);
    takeAll(queue);
    expect(queue.isAwaiting).toBe(true);
    queue.forget(2);
    expect(queue.isAwaiting).toBe(false);
  });
});

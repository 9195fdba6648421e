import { describe, expect, it } from 'vitest';
import {
  DrawingWindow,
  FIRST_WINDOW_BYTES,
  LARGEST_WINDOW_BYTES,
  SMALLEST_WINDOW_BYTES,
} from '../src/lib/drawing-window';

const KIB = 1024;

describe('the drawing window', () => {
  it('is what a terminal draws within a tenth of a second, in powers of two', () => {
    for (const [bytesPerMs, expected] of [
      [10, SMALLEST_WINDOW_BYTES],
      [500, SMALLEST_WINDOW_BYTES],
      [700, 64 * KIB],
      [1500, 128 * KIB],
      [3000, LARGEST_WINDOW_BYTES],
      [100_000, LARGEST_WINDOW_BYTES],
    ] as const) {
      const window = new DrawingWindow();
      window.busy(0);
      for (let ms = 10; ms <= 2000; ms += 10) window.drawn(bytesPerMs * 10, 'some', ms);
      expect(window.bytes, `${bytesPerMs} bytes a millisecond`).toBe(expected);
    }
  });

  it('says a change once', () => {
    const window = new DrawingWindow();
    window.busy(0);
    expect(window.drawn(KIB * KIB, 'none', 20)).toBe(LARGEST_WINDOW_BYTES);
    window.busy(1000);
    expect(window.drawn(KIB * KIB, 'none', 1020)).toBeNull();
  });

  it('judges nothing by a keystroke, nor by the time between two', () => {
    const window = new DrawingWindow();
    for (let ms = 0; ms < 10_000; ms += 100) {
      window.busy(ms);
      expect(window.drawn(1, 'none', ms + 8)).toBeNull();
    }
    expect(window.bytes).toBe(FIRST_WINDOW_BYTES);
  });

  it('does not count the time in which there was nothing to draw', () => {
    const window = new DrawingWindow();
    window.busy(0);
    window.drawn(10, 'none', 1);
    window.busy(60_000);
    window.drawn(200 * KIB, 'none', 60_010);
    expect(window.bytes).toBe(LARGEST_WINDOW_BYTES);
  });
});

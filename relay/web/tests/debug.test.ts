import { describe, expect, it } from 'vitest';
import { debugMayHelp } from '../src/lib/debug';

describe('a debug container', () => {
  it('is offered where the container has no shell, and again where its image was at fault', () => {
    expect(['no_shell', 'debug_image_failed', 'debug_not_allowed'].map((slug) => debugMayHelp({ slug }))).toEqual([
      true,
      true,
      true,
    ]);
  });

  it('is not offered where it would not help', () => {
    for (const slug of ['forbidden', 'pod_not_found', 'debug_failed', 'network']) {
      expect(debugMayHelp({ slug })).toBe(false);
    }
  });
});

/** What keys do on the replay page. Pure. */

export type KeyAction =
  | { readonly kind: 'toggle' }
  | { readonly kind: 'skip'; readonly byMs: number }
  | { readonly kind: 'command'; readonly direction: 'next' | 'previous' }
  | { readonly kind: 'hit'; readonly direction: 'next' | 'previous' }
  | { readonly kind: 'speed'; readonly direction: 'faster' | 'slower' }
  | { readonly kind: 'start' }
  | { readonly kind: 'end' }
  | { readonly kind: 'search' };

/** What is pressed, and in what. */
export interface Key {
  readonly key: string;
  readonly shift: boolean;
  /** Control, Meta or Alt: the browser's own shortcuts. */
  readonly modified: boolean;
  /** What has the focus: keys that it uses itself are left to it. */
  readonly focus: 'text' | 'button' | 'slider' | 'none';
}

const STEP_MS = 5_000;

/** What a key does; `null` if it is not ours. */
export function keyAction({ key, shift, modified, focus }: Key): KeyAction | null {
  if (modified || focus === 'text') return null;
  switch (key) {
    case ' ':
      // Space presses the button that has the focus.
      return focus === 'button' ? null : { kind: 'toggle' };
    case 'k':
      return { kind: 'toggle' };
    case 'ArrowLeft':
    case 'ArrowRight': {
      const isBack = key === 'ArrowLeft';
      if (shift) return { kind: 'command', direction: isBack ? 'previous' : 'next' };
      return { kind: 'skip', byMs: isBack ? -STEP_MS : STEP_MS };
    }
    case '[':
      return { kind: 'command', direction: 'previous' };
    case ']':
      return { kind: 'command', direction: 'next' };
    case 'n':
      return { kind: 'hit', direction: 'next' };
    case 'N':
      return { kind: 'hit', direction: 'previous' };
    case '>':
      return { kind: 'speed', direction: 'faster' };
    case '<':
      return { kind: 'speed', direction: 'slower' };
    case 'Home':
      return { kind: 'start' };
    case 'End':
      return { kind: 'end' };
    case '/':
      return { kind: 'search' };
    default:
      return null;
  }
}

/** How fast a replay can go. */
export const SPEEDS = [0.5, 1, 2, 4, 8, 16] as const;

export type Speed = (typeof SPEEDS)[number];

/** The next speed in a direction; the same at the end of the scale. */
export function changedSpeed(speed: Speed, direction: 'faster' | 'slower'): Speed {
  const index = SPEEDS.indexOf(speed) + (direction === 'faster' ? 1 : -1);
  return SPEEDS[index] ?? speed;
}

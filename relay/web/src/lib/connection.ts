/** The terminal's connection in words. Pure. */
import type { ClientState } from './session-client';
import type { SessionEnding } from './protocol';
import type { Tone } from './tone';

/** What the status shows, always in a few words. */
export function connectionStatus(state: ClientState): { readonly tone: Tone; readonly text: string } {
  switch (state.kind) {
    case 'connecting':
      return { tone: 'neutral', text: 'Connecting' };
    case 'live':
      return state.agent === 'silent'
        ? { tone: 'warning', text: 'Agent does not answer' }
        : { tone: 'good', text: 'Connected' };
    case 'reconnecting':
      return state.network === 'offline'
        ? { tone: 'warning', text: 'Offline' }
        : { tone: 'warning', text: 'Reconnecting' };
    case 'ended':
      return { tone: 'neutral', text: 'Ended' };
    case 'unauthenticated':
      return { tone: 'danger', text: 'Signed out' };
    case 'failed':
      return { tone: 'danger', text: 'Failed' };
  }
}

/** Whole seconds until a time, never below 0. */
export function secondsUntil(time: number, now: number): number {
  return Math.max(0, Math.ceil((time - now) / 1_000));
}

/** What else is to be said about an end, after its own sentence. */
export function endingDetails(ending: SessionEnding): string[] {
  const details: string[] = [];
  if (ending.exit_code !== null) details.push(`Exit status ${ending.exit_code}.`);
  if (ending.cleanup === 'confirmed' && ending.cause !== 'exited') details.push('None of its processes are left.');
  if (ending.cleanup === 'unconfirmed') {
    details.push('Whether all its processes are gone could not be confirmed: some may still run in the container.');
  }
  return details;
}

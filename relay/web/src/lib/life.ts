/** How much longer a session lives, in words: quiet while there is time, plain when there is little. Pure. */
import type { SessionLife } from './protocol';
import type { Tone } from './tone';

const SECOND_MS = 1_000;
const MINUTE_MS = 60 * SECOND_MS;

/** From here on the time that is left can be seen. */
export const SHOW_FROM_MS = 30 * MINUTE_MS;

const WARN_FROM_MS = 5 * MINUTE_MS;
const URGENT_FROM_MS = MINUTE_MS;

/** What the relay said, and when it was heard: its times count from then. */
export interface HeardLife {
  readonly life: SessionLife;
  /** Milliseconds since the Unix epoch, on the clock that `now` is read from. */
  readonly heardAt: number;
}

export interface LifeNotice {
  readonly tone: Tone;
  readonly text: string;
  /** More about it, for whoever points at it. */
  readonly explanation: string;
}

/** What is shown of a session's life, most pressing first. */
export function lifeNotices(heard: HeardLife, now: number): LifeNotice[] {
  const notices = [idleNotice(heard, now), expiryNotice(heard, now)];
  return notices.filter((notice) => notice !== null);
}

/**
 * What is read out: it changes at 30, 5 and 1 minutes and when the session becomes idle, not with every second; empty
 * while there is nothing to say.
 */
export function lifeAnnouncement(heard: HeardLife, now: number): string {
  const sentences: string[] = [];
  const left = leftOf(heard.life.expires_in_ms, heard, now);
  const step = [URGENT_FROM_MS, WARN_FROM_MS, SHOW_FROM_MS].find((limit) => left !== null && left <= limit);
  if (step !== undefined) sentences.push(`This session ends in less than ${minutes(step)}.`);
  if (heard.life.idle) sentences.push('This session is idle.');
  const closes = closesIn(heard, now);
  if (closes !== null && closes <= WARN_FROM_MS) {
    sentences.push(`It is closed in less than ${minutes(closes <= URGENT_FROM_MS ? URGENT_FROM_MS : WARN_FROM_MS)}.`);
  }
  return sentences.join(' ');
}

/** A time that is left: hours and minutes, or minutes and seconds. */
export function formatLeft(milliseconds: number): string {
  const seconds = Math.max(0, Math.ceil(milliseconds / SECOND_MS));
  const two = (number: number) => String(number).padStart(2, '0');
  if (seconds >= 3_600) return `${Math.floor(seconds / 3_600)}h ${two(Math.floor((seconds % 3_600) / 60))}m`;
  return `${Math.floor(seconds / 60)}:${two(seconds % 60)}`;
}

function expiryNotice(heard: HeardLife, now: number): LifeNotice | null {
  const left = leftOf(heard.life.expires_in_ms, heard, now);
  if (left === null || left > SHOW_FROM_MS) return null;
  const explanation = 'The session has reached its longest duration then, and everything that runs in it is ended.';
  return { tone: toneOf(left), text: `Ends in ${formatLeft(left)}`, explanation };
}

function idleNotice(heard: HeardLife, now: number): LifeNotice | null {
  if (!heard.life.idle) return null;
  const left = closesIn(heard, now);
  const explanation = 'Nobody has typed for a while. Press any key to go on.';
  if (left === null) return { tone: 'neutral', text: 'Idle', explanation };
  return { tone: toneOf(left), text: `Idle: closes in ${formatLeft(left)}`, explanation };
}

/** Only an idle session is counted down: typing puts the end off, and the relay says so only once it matters. */
function closesIn(heard: HeardLife, now: number): number | null {
  return heard.life.idle ? leftOf(heard.life.idle_closes_in_ms, heard, now) : null;
}

function leftOf(milliseconds: number | null, heard: HeardLife, now: number): number | null {
  return milliseconds === null ? null : Math.max(0, milliseconds - (now - heard.heardAt));
}

function toneOf(left: number): Tone {
  if (left <= URGENT_FROM_MS) return 'danger';
  return left <= WARN_FROM_MS ? 'warning' : 'neutral';
}

function minutes(milliseconds: number): string {
  const whole = Math.round(milliseconds / MINUTE_MS);
  return whole === 1 ? 'one minute' : `${whole} minutes`;
}

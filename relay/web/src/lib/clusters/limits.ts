/** How long the sessions of a cluster may live: from what the relay says to a form's texts, and back. Pure. */
import { DURATION_HINT, formatDuration, parseDuration } from '../access/duration';
import { count, nullable, object, type Parsed } from '../parse';

export const parseLimits = object({
  session_max_seconds: nullable(count),
  idle_after_seconds: nullable(count),
  idle_close_seconds: nullable(count),
});

/** `null` is silence: the organisation's limit holds, or the relay's. */
export type Limits = Parsed<typeof parseLimits>;

export type LimitPart = keyof Limits;

/** A text for each part; empty: no limit of its own. */
export type LimitsDraft = Readonly<Record<LimitPart, string>>;

export type ReadLimits =
  | { readonly ok: true; readonly limits: Limits }
  | { readonly ok: false; readonly problems: Readonly<Partial<Record<LimitPart, string>>> };

export function draftOfLimits(limits: Limits): LimitsDraft {
  const text = (seconds: number | null) => (seconds === null ? '' : formatDuration(seconds));
  return {
    session_max_seconds: text(limits.session_max_seconds),
    idle_after_seconds: text(limits.idle_after_seconds),
    idle_close_seconds: text(limits.idle_close_seconds),
  };
}

export function readLimits(draft: LimitsDraft): ReadLimits {
  const problems: Partial<Record<LimitPart, string>> = {};
  const seconds = (part: LimitPart) => {
    if (draft[part].trim() === '') return null;
    const read = parseDuration(draft[part]);
    if (read === null) problems[part] = DURATION_HINT;
    return read;
  };
  const limits = {
    session_max_seconds: seconds('session_max_seconds'),
    idle_after_seconds: seconds('idle_after_seconds'),
    idle_close_seconds: seconds('idle_close_seconds'),
  };
  return Object.keys(problems).length === 0 ? { ok: true, limits } : { ok: false, problems };
}

/** A session as the API describes it, and what is said about it. Pure. */
import { formatAge } from './age';
import type { TerminalPlace } from './route';
import { boolean, integer, nullable, object, oneOf, string, time, type Parsed } from './parse';
import type { Tone } from './tone';

const end = object({
  cause: string,
  message: string,
  exit_code: nullable(integer),
  cleanup: nullable(oneOf('not_wanted', 'confirmed', 'unconfirmed')),
});

export const parseSession = object({
  id: string,
  cluster: object({ id: string, name: string, type: string }),
  namespace: string,
  pod: string,
  container: nullable(string),
  user: object({ id: string, email: string }),
  state: oneOf('opening', 'live', 'ended'),
  status: oneOf('active', 'expired', 'closed'),
  /** Empty where it is not known. */
  client_ip: string,
  user_agent: string,
  started_at: time,
  last_activity_at: time,
  idle: boolean,
  expires_at: time,
  ended_at: nullable(time),
  end: nullable(end),
  exit_status: nullable(integer),
  /** Whether it goes on and the caller could watch it. */
  may_observe: boolean,
});

export type Session = Parsed<typeof parseSession>;

/** What the person who looks may do; the relay decides anew. */
export interface Viewer {
  readonly id: string;
  readonly role: string;
}

/** A session's status in a word or two. */
export function sessionStatus(session: Session): { readonly tone: Tone; readonly text: string } {
  if (session.status === 'expired') return { tone: 'warning', text: 'Expired' };
  if (session.status === 'closed' || session.state === 'ended') return { tone: 'neutral', text: 'Closed' };
  if (session.state === 'opening') return { tone: 'neutral', text: 'Opening' };
  return session.idle ? { tone: 'warning', text: 'Idle' } : { tone: 'good', text: 'Active' };
}

/** How long a session has lasted, or did. */
export function sessionDuration(session: Session, now: number): string {
  return formatAge((session.ended_at ?? now) - session.started_at);
}

/** A session's pod and container in one line. */
export function sessionTarget(session: Session): string {
  return session.container === null ? session.pod : `${session.pod} / ${session.container}`;
}

/** Where the session's terminal is, for its owner while it goes on; else `null`. */
export function terminalOf(session: Session, viewer: Viewer): (TerminalPlace & { readonly session: string }) | null {
  const { cluster, namespace, pod, container } = session;
  if (session.state === 'ended' || session.status === 'expired' || session.user.id !== viewer.id || container === null)
    return null;
  return { cluster: cluster.id, namespace, pod, container, session: session.id };
}

/** Whether somebody else's live terminal is offered to be watched. */
export function mayWatch(session: Session, viewer: Viewer): boolean {
  return session.may_observe && session.user.id !== viewer.id;
}

export function mayEnd(session: Session, viewer: Viewer): boolean {
  const isManager = viewer.role === 'owner' || viewer.role === 'admin';
  return session.state !== 'ended' && (isManager || session.user.id === viewer.id);
}

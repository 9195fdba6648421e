/** Requests for access that another person approves. Pure. */
import { boolean, count, nullable, object, oneOf, string, time, type Parsed } from '../parse';
import type { TerminalPlace } from '../route';
import type { Viewer } from '../session';
import type { Tone } from '../tone';
import { ACTIONS } from './rule';

export const parseRequest = object({
  id: string,
  user: string,
  email: string,
  cluster: string,
  cluster_name: string,
  namespace: nullable(string),
  pod: nullable(string),
  action: oneOf(...ACTIONS),
  reason: string,
  duration_seconds: count,
  state: oneOf('pending', 'approved', 'denied', 'withdrawn', 'over'),
  decided_by: nullable(string),
  expires_at: nullable(time),
  created_at: time,
  may_decide: boolean,
});

export type AccessRequest = Parsed<typeof parseRequest>;

/** What the relay is asked for. */
export interface NewRequest {
  readonly cluster: string;
  readonly namespace: string | null;
  readonly pod: string | null;
  readonly action: 'exec' | 'debug';
  readonly reason: string;
  readonly duration_seconds: number;
}

export type RequestDecision = 'approve' | 'deny' | 'withdraw';

/** The longest reason that the relay takes, in characters. */
export const MAX_REASON_CHARACTERS = 500;

/** For how long access can be asked; a rule may shorten it. */
export const REQUEST_DURATIONS = [15 * 60, 3_600, 4 * 3_600, 8 * 3_600, 24 * 3_600, 7 * 24 * 3_600] as const;

const STATES: Record<AccessRequest['state'], { readonly tone: Tone; readonly text: string }> = {
  pending: { tone: 'warning', text: 'Waiting' },
  approved: { tone: 'good', text: 'Approved' },
  denied: { tone: 'danger', text: 'Denied' },
  withdrawn: { tone: 'neutral', text: 'Withdrawn' },
  over: { tone: 'neutral', text: 'Over' },
};

export function requestState({ state }: AccessRequest): { readonly tone: Tone; readonly text: string } {
  return STATES[state];
}

/** What somebody can do about a request. The relay decides anew. */
export function requestDecisions(request: AccessRequest, viewer: Viewer): RequestDecision[] {
  const isOwn = request.user === viewer.id;
  const mayDecide = request.may_decide && !isOwn;
  if (request.state === 'pending') return mayDecide ? ['approve', 'deny'] : isOwn ? ['withdraw'] : [];
  return request.state === 'approved' && (isOwn || mayDecide) ? ['withdraw'] : [];
}

/** Whether somebody waits for this person's word. */
export function waitsFor(request: AccessRequest, viewer: Viewer): boolean {
  return requestDecisions(request, viewer).includes('approve');
}

/** The newest request of a person that is still of use for opening a terminal there, if there is one. */
export function requestFor(
  requests: readonly AccessRequest[],
  place: TerminalPlace,
  viewer: Viewer,
): AccessRequest | null {
  const covers = (wanted: string | null, found: string) => wanted === null || wanted === found;
  const open = requests.filter(
    (request) =>
      request.user === viewer.id &&
      (request.state === 'pending' || request.state === 'approved') &&
      request.action === 'exec' &&
      request.cluster === place.cluster &&
      covers(request.namespace, place.namespace) &&
      covers(request.pod, place.pod),
  );
  return open.reduce<AccessRequest | null>(
    (newest, request) => (newest === null || request.created_at > newest.created_at ? request : newest),
    null,
  );
}

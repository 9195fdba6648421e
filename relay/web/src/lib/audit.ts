/** Audit events as the API describes them, and what is said about them. Pure. */
import { count, integer, nullable, object, oneOf, record, string, time, type Parsed } from './parse';
import type { Tone } from './tone';

const named = object({ id: string, name: string });

export const parseAuditEvent = object({
  id: string,
  position: count,
  at: time,
  action: string,
  outcome: oneOf('success', 'refused', 'failed'),
  actor: object({ kind: string, id: nullable(string), name: nullable(string) }),
  /** Whom it concerns. */
  user: nullable(named),
  cluster: nullable(named),
  namespace: nullable(string),
  pod: nullable(string),
  container: nullable(string),
  session: nullable(string),
  sequence: nullable(integer),
  command: nullable(string),
  client_ip: nullable(string),
  user_agent: nullable(string),
  details: nullable(record),
});

export type AuditEvent = Parsed<typeof parseAuditEvent>;

/** Actions by subject, as the filter offers them. */
export const ACTION_GROUPS: readonly { readonly text: string; readonly actions: readonly string[] }[] = [
  {
    text: 'Terminals',
    actions: [
      'command_executed',
      'command_finished',
      'connect',
      'disconnect',
      'observe',
      'observe_ended',
      'resize',
      'session_open',
      'session_started',
      'session_refused',
      'session_idle',
      'session_end_requested',
      'session_end',
    ],
  },
  {
    text: 'Recordings and audit',
    actions: ['replay', 'recording_download', 'recording_deleted', 'recording_failed', 'audit_export'],
  },
  { text: 'People', actions: ['sign_in', 'sign_in_refused', 'sign_out', 'sign_in_link_created', 'access_refused'] },
  {
    text: 'Access',
    actions: [
      'access_rule_created',
      'access_rule_changed',
      'access_rule_deleted',
      'access_requested',
      'access_approved',
      'access_denied',
    ],
  },
  {
    text: 'Clusters and agents',
    actions: [
      'organisation_created',
      'cluster_created',
      'cluster_changed',
      'cluster_access_replaced',
      'cluster_connection_tested',
      'cluster_revoked',
      'join_token_created',
      'agent_enrolled',
      'agent_enrolment_refused',
      'agent_connected',
      'agent_disconnected',
      'agent_refused',
      'agent_cloned',
      'agent_revoked',
      'certificate_renewed',
      'certificate_refused',
    ],
  },
];

const ACTION_TEXTS: Readonly<Record<string, string>> = {
  command_executed: 'Command',
  connect: 'Terminal connected',
  disconnect: 'Terminal disconnected',
  resize: 'Terminal resized',
  command_finished: 'Command finished',
  session_open: 'Session asked for',
  session_started: 'Session started',
  session_end_requested: 'Session end asked for',
  session_refused: 'Session refused',
  session_idle: 'Session idle',
  session_end: 'Session ended',
  replay: 'Recording replayed',
  sign_in: 'Signed in',
  sign_in_refused: 'Sign-in refused',
  sign_out: 'Signed out',
  audit_export: 'Audit log exported',
  recording_download: 'Recording downloaded',
};

/** An action in words; one that this version does not know, by its own name. */
export function actionText(action: string): string {
  return ACTION_TEXTS[action] ?? wordsOf(action);
}

/** A name of the wire as words. */
export function wordsOf(name: string): string {
  const words = name.replaceAll('_', ' ');
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** What happened, and how it went where that is not to be expected. */
export function headline({ action, outcome }: Pick<AuditEvent, 'action' | 'outcome'>): string {
  const text = actionText(action);
  return outcome === 'success' || text.toLowerCase().includes(outcome) ? text : `${text}: ${outcome}`;
}

export function outcomePill(outcome: AuditEvent['outcome']): { readonly tone: Tone; readonly text: string } {
  switch (outcome) {
    case 'success':
      return { tone: 'good', text: 'Success' };
    case 'refused':
      return { tone: 'warning', text: 'Refused' };
    case 'failed':
      return { tone: 'danger', text: 'Failed' };
  }
}

/** Who did it. */
export function actorText(actor: AuditEvent['actor']): string {
  return actor.name ?? actor.id ?? actor.kind;
}

/** Where it was done, without the cluster; empty where it was nowhere in particular. */
export function placeText(event: AuditEvent): string {
  const { namespace, pod, container } = event;
  return [namespace, pod, container].filter((part) => part !== null).join(' / ');
}

/** What an event's details say, in one line. */
export function detailsText(event: AuditEvent): string {
  const said = Object.entries(event.details ?? {}).filter(([, value]) => value !== null && typeof value !== 'object');
  return said.map(([name, value]) => `${name.replaceAll('_', ' ')}: ${String(value)}`).join(' · ');
}

/** Address of a download of everything that a query finds. */
export function exportUrl(query: URLSearchParams, format: 'csv' | 'jsonl'): string {
  const all = new URLSearchParams(query);
  all.set('format', format);
  return `/api/v1/audit-events/export?${all.toString()}`;
}

/** Address of the stream of new events that a query finds. */
export function streamUrl(query: URLSearchParams): string {
  return `/api/v1/audit-events/stream${query.size === 0 ? '' : `?${query.toString()}`}`;
}

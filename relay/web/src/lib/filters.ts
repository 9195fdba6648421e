/** What lists are narrowed to: as a page's address says it, and as the API takes it. Pure. */
import { ANY_TIME, readTimeRange, writeEndsOf, writeTimeRange, type TimeRange } from './time-range';

export const SESSION_STATUSES = ['active', 'expired', 'closed'] as const;
export type SessionStatus = (typeof SESSION_STATUSES)[number];

export interface SessionFilter {
  /** A cluster's id; `null` for every one, also where the page itself is a cluster's. */
  readonly cluster: string | null;
  /** A user's id. */
  readonly user: string | null;
  readonly status: SessionStatus | null;
  readonly time: TimeRange;
}

export interface AuditFilter {
  readonly cluster: string | null;
  readonly user: string | null;
  readonly namespace: string | null;
  readonly pod: string | null;
  readonly session: string | null;
  /** An action's slug. */
  readonly action: string | null;
  /** To be found in the command and everything else that is text. */
  readonly text: string | null;
  readonly time: TimeRange;
}

export const ALL_SESSIONS: SessionFilter = { cluster: null, user: null, status: null, time: ANY_TIME };

export const ALL_EVENTS: AuditFilter = {
  cluster: null,
  user: null,
  namespace: null,
  pod: null,
  session: null,
  action: null,
  text: null,
  time: ANY_TIME,
};

const AUDIT_FIELDS = ['cluster', 'user', 'namespace', 'pod', 'session', 'action', 'text'] as const;

/** Reads a filter from an address; what makes no sense there is left out. */
export function readSessionFilter(query: URLSearchParams): SessionFilter {
  const status = query.get('status');
  return {
    cluster: given(query, 'cluster'),
    user: given(query, 'user'),
    status: SESSION_STATUSES.find((known) => known === status) ?? null,
    time: readTimeRange(query),
  };
}

export function readAuditFilter(query: URLSearchParams): AuditFilter {
  const fields = AUDIT_FIELDS.map((name) => [name, given(query, name)] as const);
  return { ...ALL_EVENTS, ...Object.fromEntries(fields), time: readTimeRange(query) };
}

/** Writes a filter as an address's query: empty, or beginning with a question mark. */
export function writeFilter(filter: SessionFilter | AuditFilter): string {
  const query = fieldsOf(filter);
  writeTimeRange(filter.time, query);
  return query.size === 0 ? '' : `?${query.toString()}`;
}

/** A filter as the API takes it; `cluster` is the page's own, if it is a cluster's. */
export function apiQuery(filter: SessionFilter | AuditFilter, cluster: string | null, now: number): URLSearchParams {
  const query = fieldsOf(filter);
  if (cluster !== null) query.set('cluster', cluster);
  writeEndsOf(filter.time, now, query);
  return query;
}

/** Whether a filter leaves anything out. */
export function isNarrowed(filter: SessionFilter | AuditFilter): boolean {
  return writeFilter(filter) !== '';
}

function fieldsOf(filter: SessionFilter | AuditFilter): URLSearchParams {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(filter)) {
    // The time is no text, and is written by its own rules.
    if (typeof value === 'string') query.set(name, value);
  }
  return query;
}

function given(query: URLSearchParams, name: string): string | null {
  const text = query.get(name)?.trim() ?? '';
  return text === '' ? null : text;
}

/** The relay's HTTP API, typed. Every call returns a result; none throws, and none waits for ever. */
import {
  array,
  boolean,
  count,
  nullable,
  object,
  ParseError,
  parseJson,
  string,
  type Parsed,
  type Parser,
} from './parse';
import { parseAuditEvent, type AuditEvent } from './audit';
import { parseAgent, type Agent } from './clusters/agent';
import { parseCluster, type Cluster, type ClusterChange } from './clusters/cluster';
import { parseIdentity, type KubernetesIdentity } from './clusters/identity';
import { parseJoinCommand, type JoinCommand } from './clusters/joining';
import type { Labels } from './clusters/labels';
import {
  parseGroup,
  parseGroupMember,
  parseInvitation,
  parseInvited,
  parseOrganisations,
  parsePerson,
  type Group,
  type GroupChange,
  type GroupMember,
  type Invitation,
  type Invited,
  type OwnOrganisation,
  type Person,
  type PersonChange,
} from './directory';
import { parseLogin, parseNewToken, type Login, type NewToken, type TokenSettings } from './logins';
import { parseConnectionTest, type ClusterAccess, type ConnectionTest } from './public-cluster';
import { parseSession, type Session } from './session';
import type { TicketOutcome } from './session-client';
import {
  parseChallenge,
  parseMethods,
  parseOwnPassword,
  parsePasskey,
  parseProvider,
  type Challenge,
  type OwnPassword,
  type Passkey,
  type Provider,
  type ProviderSettings,
  type SignInMethods,
} from './sign-in';
import type { TerminalSize } from './protocol';

/** How long an answer may take. */
export const API_DEADLINE_MS = 20_000;

/** A ticket is quickly made: a relay that does not answer by then is not reached, and the next try may be. */
export const TICKET_DEADLINE_MS = 8_000;

/** Opening a session includes starting its process, for which the relay itself waits 35 s before it says why. */
export const OPEN_DEADLINE_MS = 45_000;

/** In a debug container, its image is pulled first. */
export const DEBUG_OPEN_DEADLINE_MS = 125_000;

/** A connection test tries step by step, each with its own limit. */
export const TEST_DEADLINE_MS = 60_000;

/** How many items a page of a long list asks for: more than a screen holds, little enough to be quick. */
export const PAGE_ITEMS = 100;

const PROBLEM_PREFIX = 'urn:podlatch:problem:';

const user = object({ id: string, email: string, name: nullable(string) });
const organisation = object({ id: string, name: string });
const me = object({ user, organisation, role: string });

const debugImages = object({ images: array(string) });
const preview = object({ organisation: string, email: string, role: string });
const accepted = object({ organisation: string, signed_in: boolean });
const created = object({ session: parseSession, ticket: string });
const ticket = object({ ticket: string, expires_in_seconds: count });
const problem = object({ type: string, title: nullable(string), detail: nullable(string) });
const page = <T>(item: Parser<T>): Parser<Page<T>> => object({ items: array(item), next_cursor: nullable(string) });

export type { Cluster };
export type Me = Parsed<typeof me>;
export type InvitationPreview = Parsed<typeof preview>;
export type AcceptedInvitation = Parsed<typeof accepted>;
export type CreatedSession = Parsed<typeof created>;

/** A part of a list. */
export interface Page<T> {
  readonly items: readonly T[];
  /** Where the next page begins; `null` on the last. */
  readonly next_cursor: string | null;
}

/** What went wrong, with a sentence for a person. */
export interface ApiError {
  /** The problem's stable name, or `network`, `timeout`, `malformed_answer`, `unexpected` where no relay named one. */
  readonly slug: string;
  /** The HTTP status; 0 where there was no answer. */
  readonly status: number;
  readonly sentence: string;
}

export type ApiResult<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: ApiError };

/** How a terminal is wished for beyond its place. */
export interface OpenWish {
  /** Opens it in a debug container of this image beside the target. */
  readonly debugImage?: string;
  /** Why, where a rule asks for it. */
  readonly reason?: string;
  /** In place of the container's best shell. */
  readonly command?: readonly string[];
}

/** What to open a terminal in. */
export interface Target {
  readonly cluster: string;
  readonly namespace: string;
  readonly pod: string;
  readonly container: string | null;
}

type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

export class Api {
  readonly #fetch: typeof fetch;

  constructor(fetcher: typeof fetch) {
    this.#fetch = fetcher;
  }

  /** Trades a one-time sign-in token for the login session's cookie. */
  signIn(token: string): Promise<ApiResult<null>> {
    return this.#call('POST', '/login-sessions', null, { token });
  }

  /** How one may sign in; on a relay of many, in the organisation that is named. */
  signInMethods(organisation: string | null): Promise<ApiResult<SignInMethods>> {
    const query = organisation === null ? '' : `?organisation=${encodeURIComponent(organisation)}`;
    return this.#call('GET', `/sign-in/methods${query}`, parseMethods);
  }

  signInWithPassword(email: string, password: string): Promise<ApiResult<null>> {
    return this.#call('POST', '/sign-in/password', null, { email, password });
  }

  passkeySignInChallenge(): Promise<ApiResult<Challenge>> {
    return this.#call('POST', '/sign-in/passkey/challenge', parseChallenge);
  }

  signInWithPasskey(challenge: string, credential: object): Promise<ApiResult<null>> {
    return this.#call('POST', '/sign-in/passkey', null, { challenge, credential });
  }

  passkeys(): Promise<ApiResult<Passkey[]>> {
    return this.#all('/me/passkeys', parsePasskey);
  }

  newPasskeyChallenge(): Promise<ApiResult<Challenge>> {
    return this.#call('POST', '/me/passkeys/challenge', parseChallenge);
  }

  addPasskey(challenge: string, name: string, credential: object): Promise<ApiResult<Passkey>> {
    return this.#call('POST', '/me/passkeys', parsePasskey, { challenge, name, credential });
  }

  renamePasskey(id: string, name: string): Promise<ApiResult<null>> {
    return this.#call('PATCH', `/me/passkeys/${encodeURIComponent(id)}`, null, { name });
  }

  removePasskey(id: string): Promise<ApiResult<null>> {
    return this.#call('DELETE', `/me/passkeys/${encodeURIComponent(id)}`, null);
  }

  ownPassword(): Promise<ApiResult<OwnPassword>> {
    return this.#call('GET', '/me/password', parseOwnPassword);
  }

  /** `current` is needed unless one has just signed in with a link or a passkey. */
  setPassword(current: string | null, next: string): Promise<ApiResult<null>> {
    const body = { new_password: next, ...(current !== null && { current_password: current }) };
    return this.#call('PUT', '/me/password', null, body);
  }

  /** Other ways to sign in stay. */
  removePassword(): Promise<ApiResult<null>> {
    return this.#call('DELETE', '/me/password', null);
  }

  signInProviders(): Promise<ApiResult<Provider[]>> {
    return this.#all('/sign-in-providers', parseProvider);
  }

  addSignInProvider(settings: ProviderSettings): Promise<ApiResult<Provider>> {
    return this.#call('POST', '/sign-in-providers', parseProvider, settings);
  }

  changeSignInProvider(id: string, settings: ProviderSettings): Promise<ApiResult<Provider>> {
    return this.#call('PUT', `/sign-in-providers/${encodeURIComponent(id)}`, parseProvider, settings);
  }

  removeSignInProvider(id: string): Promise<ApiResult<null>> {
    return this.#call('DELETE', `/sign-in-providers/${encodeURIComponent(id)}`, null);
  }

  people(): Promise<ApiResult<Person[]>> {
    return this.#all('/people', parsePerson);
  }

  changePerson(id: string, change: PersonChange): Promise<ApiResult<Person>> {
    return this.#call('PATCH', `/people/${encodeURIComponent(id)}`, parsePerson, change);
  }

  removePerson(id: string): Promise<ApiResult<null>> {
    return this.#call('DELETE', `/people/${encodeURIComponent(id)}`, null);
  }

  invitations(): Promise<ApiResult<Invitation[]>> {
    return this.#all('/invitations', parseInvitation);
  }

  invite(email: string, role: string, groups: readonly string[]): Promise<ApiResult<Invited>> {
    return this.#call('POST', '/invitations', parseInvited, { email, role, groups });
  }

  withdrawInvitation(id: string): Promise<ApiResult<null>> {
    return this.#call('DELETE', `/invitations/${encodeURIComponent(id)}`, null);
  }

  /** What an invitation is about; uses nothing up. */
  previewInvitation(token: string): Promise<ApiResult<InvitationPreview>> {
    return this.#call('POST', '/invitations/previews', preview, { token });
  }

  acceptInvitation(token: string, name: string): Promise<ApiResult<AcceptedInvitation>> {
    return this.#call('POST', '/invitations/acceptances', accepted, { token, name });
  }

  groups(): Promise<ApiResult<Group[]>> {
    return this.#all('/groups', parseGroup);
  }

  group(id: string): Promise<ApiResult<Group>> {
    return this.#call('GET', `/groups/${encodeURIComponent(id)}`, parseGroup);
  }

  createGroup(name: string): Promise<ApiResult<Group>> {
    return this.#call('POST', '/groups', parseGroup, { name });
  }

  changeGroup(id: string, change: GroupChange): Promise<ApiResult<Group>> {
    return this.#call('PATCH', `/groups/${encodeURIComponent(id)}`, parseGroup, change);
  }

  deleteGroup(id: string): Promise<ApiResult<null>> {
    return this.#call('DELETE', `/groups/${encodeURIComponent(id)}`, null);
  }

  groupMembers(id: string): Promise<ApiResult<GroupMember[]>> {
    return this.#all(`/groups/${encodeURIComponent(id)}/members`, parseGroupMember);
  }

  addGroupMember(id: string, user: string): Promise<ApiResult<null>> {
    return this.#call('PUT', `/groups/${encodeURIComponent(id)}/members/${encodeURIComponent(user)}`, null);
  }

  removeGroupMember(id: string, user: string): Promise<ApiResult<null>> {
    return this.#call('DELETE', `/groups/${encodeURIComponent(id)}/members/${encodeURIComponent(user)}`, null);
  }

  /** The browsers in which one is signed in. */
  ownLogins(): Promise<ApiResult<Login[]>> {
    return this.#all('/login-sessions?kind=browser', parseLogin);
  }

  /** Ends a login or an API token. */
  endLogin(id: string): Promise<ApiResult<null>> {
    return this.#call('DELETE', `/login-sessions/${encodeURIComponent(id)}`, null);
  }

  ownTokens(): Promise<ApiResult<Login[]>> {
    return this.#all('/api-tokens', parseLogin);
  }

  createToken(settings: TokenSettings): Promise<ApiResult<NewToken>> {
    return this.#call('POST', '/api-tokens', parseNewToken, settings);
  }

  revokeToken(id: string): Promise<ApiResult<null>> {
    return this.#call('DELETE', `/api-tokens/${encodeURIComponent(id)}`, null);
  }

  async organisations(): Promise<ApiResult<readonly OwnOrganisation[]>> {
    const result = await this.#call('GET', '/organisations', parseOrganisations);
    return result.ok ? { ok: true, value: result.value.items } : result;
  }

  /** Goes on in another of one's organisations. */
  switchOrganisation(organisation: string): Promise<ApiResult<null>> {
    return this.#call('POST', '/login-sessions/current/organisation', null, { organisation });
  }

  signOut(): Promise<ApiResult<null>> {
    return this.#call('DELETE', '/login-sessions/current', null);
  }

  me(): Promise<ApiResult<Me>> {
    return this.#call('GET', '/me', me);
  }

  clusters(): Promise<ApiResult<Cluster[]>> {
    return this.#all('/clusters', parseCluster);
  }

  cluster(id: string): Promise<ApiResult<Cluster>> {
    return this.#call('GET', `/clusters/${encodeURIComponent(id)}`, parseCluster);
  }

  /** Registers a cluster that is reached through an agent. */
  createPrivateCluster(name: string, labels: Labels): Promise<ApiResult<Cluster>> {
    return this.#call('POST', '/clusters', parseCluster, { type: 'private', name, labels });
  }

  /** Registers a cluster that the relay reaches by itself. */
  createPublicCluster(name: string, labels: Labels, access: ClusterAccess): Promise<ApiResult<Cluster>> {
    return this.#call('POST', '/clusters', parseCluster, { type: 'public', name, labels, ...access });
  }

  changeCluster(id: string, change: ClusterChange): Promise<ApiResult<Cluster>> {
    return this.#call('PATCH', `/clusters/${encodeURIComponent(id)}`, parseCluster, change);
  }

  /** Revokes a cluster for good, with everything in it. */
  revokeCluster(id: string): Promise<ApiResult<null>> {
    return this.#call('DELETE', `/clusters/${encodeURIComponent(id)}`, null);
  }

  /** Makes a join token that is good once for each replica, and the commands around it. */
  createJoinToken(cluster: string, replicas: number): Promise<ApiResult<JoinCommand>> {
    return this.#call('POST', `/clusters/${encodeURIComponent(cluster)}/join-tokens`, parseJoinCommand, { replicas });
  }

  agents(cluster: string): Promise<ApiResult<Agent[]>> {
    return this.#all(`/clusters/${encodeURIComponent(cluster)}/agents`, parseAgent);
  }

  /** Revokes one agent for good. */
  revokeAgent(cluster: string, agent: string): Promise<ApiResult<null>> {
    return this.#call('DELETE', `/clusters/${encodeURIComponent(cluster)}/agents/${encodeURIComponent(agent)}`, null);
  }

  kubernetesIdentity(cluster: string): Promise<ApiResult<KubernetesIdentity>> {
    return this.#call('GET', `/clusters/${encodeURIComponent(cluster)}/kubernetes-identity`, parseIdentity);
  }

  setKubernetesIdentity(cluster: string, identity: KubernetesIdentity): Promise<ApiResult<KubernetesIdentity>> {
    return this.#call('PUT', `/clusters/${encodeURIComponent(cluster)}/kubernetes-identity`, parseIdentity, identity);
  }

  /** Replaces where a public cluster is reached, and as whom. */
  replaceClusterAccess(cluster: string, access: ClusterAccess): Promise<ApiResult<null>> {
    return this.#call('PUT', `/clusters/${encodeURIComponent(cluster)}/access`, null, access);
  }

  /** Tries whether a cluster can be reached, before it is registered or its access replaced. */
  testClusterAccess(access: ClusterAccess): Promise<ApiResult<ConnectionTest>> {
    return this.#call('POST', '/clusters/connection-tests', parseConnectionTest, access, TEST_DEADLINE_MS);
  }

  /** Tries whether a registered public cluster can be reached, with the credential that it has. */
  testCluster(id: string): Promise<ApiResult<ConnectionTest>> {
    const path = `/clusters/${encodeURIComponent(id)}/connection-tests`;
    return this.#call('POST', path, parseConnectionTest, undefined, TEST_DEADLINE_MS);
  }

  liveSessions(): Promise<ApiResult<Session[]>> {
    return this.#all('/sessions?state=live', parseSession);
  }

  /** A page of the sessions that a query finds, newest first. */
  sessions(query: URLSearchParams, cursor: string | null): Promise<ApiResult<Page<Session>>> {
    return this.#page('/sessions', query, cursor, parseSession);
  }

  session(id: string): Promise<ApiResult<Session>> {
    return this.#call('GET', `/sessions/${encodeURIComponent(id)}`, parseSession);
  }

  /** A page of the audit events that a query finds, newest first. */
  auditEvents(query: URLSearchParams, cursor: string | null): Promise<ApiResult<Page<AuditEvent>>> {
    return this.#page('/audit-events', query, cursor, parseAuditEvent);
  }

  /** Opens a terminal. */
  openSession(target: Target, size: TerminalSize, wish: OpenWish = {}): Promise<ApiResult<CreatedSession>> {
    const { container, ...rest } = target;
    const { debugImage, reason, command } = wish;
    const debug = debugImage === undefined ? {} : { debug: { image: debugImage } };
    const why = reason === undefined ? {} : { reason };
    const program = command === undefined ? {} : { command };
    const body = { ...rest, ...(container === null ? {} : { container }), ...why, ...size, ...debug, ...program };
    const deadline = debugImage === undefined ? OPEN_DEADLINE_MS : DEBUG_OPEN_DEADLINE_MS;
    return this.#call('POST', '/sessions', created, body, deadline);
  }

  /** The images that the organisation allows for debug containers. */
  debugImages(): Promise<ApiResult<{ readonly images: readonly string[] }>> {
    return this.#call('GET', '/debug-images', debugImages);
  }

  /** Replaces them; none means that there are no debug containers. */
  setDebugImages(images: readonly string[]): Promise<ApiResult<{ readonly images: readonly string[] }>> {
    return this.#call('PUT', '/debug-images', debugImages, { images });
  }

  /** Ends a session for good. */
  endSession(id: string): Promise<ApiResult<null>> {
    return this.#call('DELETE', `/sessions/${encodeURIComponent(id)}`, null);
  }

  /** A ticket for the session's terminal, or how the session ended. */
  ticket(id: string): Promise<TicketOutcome> {
    return this.#ticket(id, 'tickets');
  }

  /** A ticket for watching the session's terminal, or how the session ended. */
  observerTicket(id: string): Promise<TicketOutcome> {
    return this.#ticket(id, 'observer-tickets');
  }

  async #ticket(id: string, kind: 'tickets' | 'observer-tickets'): Promise<TicketOutcome> {
    const result = await this.#call(
      'POST',
      `/sessions/${encodeURIComponent(id)}/${kind}`,
      ticket,
      undefined,
      TICKET_DEADLINE_MS,
    );
    if (result.ok) return { kind: 'ticket', ticket: result.value.ticket };
    if (result.error.slug === 'session_ended' || result.error.status === 410) return this.#ending(id, result.error);
    return unavailable(result.error);
  }

  async #ending(id: string, gone: ApiError): Promise<TicketOutcome> {
    const result = await this.session(id);
    const unknown = { cause: 'other', message: gone.sentence, exit_code: null, cleanup: null };
    if (result.ok) return { kind: 'ended', ending: result.value.end ?? unknown };
    // Whoever only watched it is not shown it any more.
    return result.error.status === 404 ? { kind: 'ended', ending: unknown } : unavailable(result.error);
  }

  async #all<T>(path: string, item: Parser<T>): Promise<ApiResult<T[]>> {
    const items: T[] = [];
    let cursor: string | null = null;
    do {
      const separator = path.includes('?') ? '&' : '?';
      const query: string = cursor === null ? '' : `${separator}cursor=${encodeURIComponent(cursor)}`;
      const result = await this.#call('GET', path + query, page(item));
      if (!result.ok) return result;
      items.push(...result.value.items);
      cursor = result.value.next_cursor;
    } while (cursor !== null);
    return { ok: true, value: items };
  }

  #page<T>(path: string, query: URLSearchParams, cursor: string | null, item: Parser<T>): Promise<ApiResult<Page<T>>> {
    const all = new URLSearchParams(query);
    all.set('limit', String(PAGE_ITEMS));
    if (cursor !== null) all.set('cursor', cursor);
    return this.#call('GET', `${path}?${all.toString()}`, page(item));
  }

  async #call<T>(
    method: Method,
    path: string,
    answer: Parser<T>,
    body?: object,
    deadlineMs?: number,
  ): Promise<ApiResult<T>>;
  async #call(method: Method, path: string, answer: null, body?: object): Promise<ApiResult<null>>;
  async #call(
    method: Method,
    path: string,
    answer: Parser<unknown> | null,
    body?: object,
    deadlineMs = API_DEADLINE_MS,
  ): Promise<ApiResult<unknown>> {
    try {
      const response = await this.#fetch(`/api/v1${path}`, {
        method,
        credentials: 'same-origin',
        signal: AbortSignal.timeout(deadlineMs),
        headers: { accept: 'application/json', ...(body && { 'content-type': 'application/json' }) },
        ...(body && { body: JSON.stringify(body) }),
      });
      if (!response.ok) return { ok: false, error: await problemOf(response) };
      return { ok: true, value: answer === null ? null : parseJson(await response.text(), answer) };
    } catch (error) {
      return { ok: false, error: transportError(error) };
    }
  }
}

/** Address of a session's terminal WebSocket, at the relay that the page came from. */
export function terminalUrl(session: string, page: string): string {
  const url = new URL(`/api/v1/sessions/${encodeURIComponent(session)}/terminal`, page);
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
  return url.href;
}

/** Whether another try could succeed without anybody doing anything. */
export function isTransient(error: ApiError): boolean {
  return error.status === 0 || error.status === 429 || error.status >= 500;
}

/** Reads a problem document (RFC 9457), or makes do with the status. */
export async function problemOf(response: Response): Promise<ApiError> {
  const fallback = `The relay answered with status ${response.status}.`;
  try {
    const { type, title, detail } = parseJson(await response.text(), problem);
    const slug = type.startsWith(PROBLEM_PREFIX) ? type.slice(PROBLEM_PREFIX.length) : 'unexpected';
    return { slug, status: response.status, sentence: detail ?? title ?? fallback };
  } catch {
    return { slug: 'unexpected', status: response.status, sentence: fallback };
  }
}

/** What a thrown error of `fetch` or of a parser means to a person. */
export function transportError(error: unknown): ApiError {
  if (error instanceof ParseError) {
    const sentence = 'The relay sent an answer that this page does not understand. Reload the page.';
    return { slug: 'malformed_answer', status: 0, sentence };
  }
  if (error instanceof DOMException && error.name === 'TimeoutError') {
    return { slug: 'timeout', status: 0, sentence: 'The relay did not answer in time. Try again.' };
  }
  return { slug: 'network', status: 0, sentence: 'The relay cannot be reached. Check your network.' };
}

function unavailable(error: ApiError): TicketOutcome {
  if (error.status === 401) return { kind: 'unauthenticated' };
  return isTransient(error) ? { kind: 'unavailable' } : { kind: 'refused', sentence: error.sentence };
}

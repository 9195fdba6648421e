/** The console's addresses. Pure: text to route and back. */
import { NO_QUESTION, questionQuery, readQuestion, type AccessQuestion } from './access/explanation';
import { readAuditFilter, readSessionFilter, writeFilter, type AuditFilter, type SessionFilter } from './filters';

/** A pod's container, as an address names it. */
export interface TerminalPlace {
  readonly cluster: string;
  readonly namespace: string;
  readonly pod: string;
  readonly container: string;
}

export type Route =
  | { readonly page: 'sign-in' }
  | { readonly page: 'clusters' }
  | { readonly page: 'add-cluster' }
  /** Where an invitation leads. */
  | { readonly page: 'join' }
  | { readonly page: 'people' }
  | { readonly page: 'groups' }
  | { readonly page: 'group'; readonly group: string }
  /** Where one is signed in. */
  | { readonly page: 'own-logins' }
  /** One's API tokens. */
  | { readonly page: 'own-tokens' }
  /** How one proves oneself: passkeys and password. */
  | { readonly page: 'own-sign-in' }
  /** Where the organisation's people sign in. */
  | { readonly page: 'sign-in-settings' }
  /** Which images debug containers may have. */
  | { readonly page: 'debug-images' }
  | { readonly page: 'access-rules' }
  /** `rule` is `null` for a new one. */
  | { readonly page: 'access-rule'; readonly rule: string | null }
  | { readonly page: 'access-requests' }
  /** Who can open what, and why. */
  | { readonly page: 'access'; readonly question: AccessQuestion }
  | { readonly page: 'clusters-settings' }
  /** How one cluster is set up. */
  | { readonly page: 'cluster-settings'; readonly id: string }
  | { readonly page: 'namespaces'; readonly cluster: string }
  | { readonly page: 'namespace'; readonly cluster: string; readonly namespace: string }
  /** `session` is `null` before the terminal is opened. */
  | ({ readonly page: 'terminal'; readonly session: string | null } & TerminalPlace)
  /** Of one cluster, or of the organisation where `cluster` is `null`. */
  | { readonly page: 'sessions'; readonly cluster: string | null; readonly filter: SessionFilter }
  | { readonly page: 'audit'; readonly cluster: string | null; readonly filter: AuditFilter }
  | { readonly page: 'session'; readonly session: string }
  | { readonly page: 'replay'; readonly session: string }
  /** Somebody else's live terminal. */
  | { readonly page: 'watch'; readonly session: string }
  | { readonly page: 'not-found' };

/** The route that an address names: its path, and its query with or without the question mark. */
export function parseRoute(path: string, search = ''): Route {
  let parts: string[];
  try {
    parts = path.split('/').filter(Boolean).map(decodeURIComponent);
  } catch {
    return { page: 'not-found' };
  }
  const query = new URLSearchParams(search);
  return (
    parseOrganisation(parts, query) ?? parseAccess(parts, query) ?? parseCluster(parts, query) ?? { page: 'not-found' }
  );
}

/** The address that names a route. */
export function routePath(route: Route): string {
  const part = encodeURIComponent;
  switch (route.page) {
    case 'sign-in':
      return '/sign-in';
    case 'join':
      return '/join';
    case 'people':
    case 'groups':
      return `/settings/${route.page}`;
    case 'group':
      return `/settings/groups/${part(route.group)}`;
    case 'own-logins':
      return '/account/logins';
    case 'own-tokens':
      return '/account/tokens';
    case 'own-sign-in':
      return '/account/sign-in';
    case 'sign-in-settings':
      return '/settings/sign-in';
    case 'debug-images':
      return '/settings/debug-images';
    case 'access-rules':
      return '/settings/access-rules';
    case 'access-rule':
      return `/settings/access-rules/${route.rule === null ? 'new' : part(route.rule)}`;
    case 'access-requests':
      return '/access/requests';
    case 'access':
      return route.question === NO_QUESTION ? '/access' : `/access?${questionQuery(route.question).toString()}`;
    case 'clusters-settings':
      return '/settings/clusters';
    case 'cluster-settings':
      return `/settings/clusters/${part(route.id)}`;
    case 'clusters':
    case 'not-found':
      return '/';
    case 'add-cluster':
      return '/clusters/new';
    case 'namespaces':
      return `/c/${part(route.cluster)}`;
    case 'namespace':
      return `/c/${part(route.cluster)}/n/${part(route.namespace)}`;
    case 'terminal': {
      const place = `/c/${part(route.cluster)}/n/${part(route.namespace)}/p/${part(route.pod)}/${part(route.container)}`;
      return route.session === null ? place : `${place}/s/${part(route.session)}`;
    }
    case 'sessions':
    case 'audit': {
      const place = route.cluster === null ? '' : `/c/${part(route.cluster)}/terminal`;
      return `${place}/${route.page}${writeFilter(route.filter)}`;
    }
    case 'session':
      return `/sessions/${part(route.session)}`;
    case 'watch':
      return `/sessions/${part(route.session)}/watch`;
    case 'replay':
      return `/sessions/${part(route.session)}/replay`;
  }
}

function parseOrganisation(parts: string[], query: URLSearchParams): Route | null {
  const [first, session, last] = parts;
  if (parts.length === 0) return { page: 'clusters' };
  if (parts.length === 1) {
    if (first === 'sign-in') return { page: 'sign-in' };
    if (first === 'join') return { page: 'join' };
    if (first === 'settings') return { page: 'people' };
    if (first === 'account') return { page: 'own-sign-in' };
    return parseList(first, null, query);
  }
  if (first === 'clusters') return parts.length === 2 && session === 'new' ? { page: 'add-cluster' } : null;
  if (first === 'account') return parts.length === 2 ? parseAccount(session) : null;
  if (first === 'settings') return parseSettings(parts);
  if (first !== 'sessions' || session === undefined) return null;
  if (parts.length === 2) return { page: 'session', session };
  if (parts.length !== 3) return null;
  return last === 'replay' || last === 'watch' ? { page: last, session } : null;
}

function parseAccess(parts: string[], query: URLSearchParams): Route | null {
  const [first, second, rule] = parts;
  if (first === 'access') {
    if (parts.length === 1) return { page: 'access', question: query.size === 0 ? NO_QUESTION : readQuestion(query) };
    return parts.length === 2 && second === 'requests' ? { page: 'access-requests' } : null;
  }
  if (first !== 'settings' || second !== 'access-rules' || parts.length > 3) return null;
  if (rule === undefined) return { page: 'access-rules' };
  return { page: 'access-rule', rule: rule === 'new' ? null : rule };
}

function parseAccount(name: string | undefined): Route | null {
  if (name === 'sign-in') return { page: 'own-sign-in' };
  if (name === 'logins') return { page: 'own-logins' };
  return name === 'tokens' ? { page: 'own-tokens' } : null;
}

function parseSettings([, name, thing, ...rest]: string[]): Route | null {
  if (rest.length > 0) return null;
  if (name === 'groups') return thing === undefined ? { page: 'groups' } : { page: 'group', group: thing };
  if (name === 'clusters')
    return thing === undefined ? { page: 'clusters-settings' } : { page: 'cluster-settings', id: thing };
  if (thing !== undefined) return null;
  if (name === 'people' || name === 'debug-images') return { page: name };
  return name === 'sign-in' ? { page: 'sign-in-settings' } : null;
}

function parseCluster(parts: string[], query: URLSearchParams): Route | null {
  const [c, cluster, area, list] = parts;
  if (c !== 'c' || cluster === undefined) return null;
  if (parts.length === 2) return { page: 'namespaces', cluster };
  if (area !== 'terminal') return parsePlace(parts, cluster);
  return parts.length > 4 ? null : parseList(list ?? 'sessions', cluster, query);
}

function parseList(name: string | undefined, cluster: string | null, query: URLSearchParams): Route | null {
  if (name === 'sessions') return { page: 'sessions', cluster, filter: readSessionFilter(query) };
  if (name === 'audit') return { page: 'audit', cluster, filter: readAuditFilter(query) };
  return null;
}

function parsePlace(parts: string[], cluster: string): Route | null {
  const [, , n, namespace, p, pod, container, s, session] = parts;
  if (n !== 'n' || namespace === undefined) return null;
  if (parts.length === 4) return { page: 'namespace', cluster, namespace };
  if (p !== 'p' || pod === undefined || container === undefined) return null;
  const place = { page: 'terminal', cluster, namespace, pod, container } as const;
  if (parts.length === 7) return { ...place, session: null };
  if (parts.length === 9 && s === 's' && session !== undefined) return { ...place, session };
  return null;
}

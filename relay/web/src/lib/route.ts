/** The console's addresses. Pure: text to route and back. */

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
  | { readonly page: 'namespaces'; readonly cluster: string }
  | { readonly page: 'namespace'; readonly cluster: string; readonly namespace: string }
  /** `session` is `null` before the terminal is opened. */
  | ({ readonly page: 'terminal'; readonly session: string | null } & TerminalPlace)
  | { readonly page: 'not-found' };

/** The route that a path names. */
export function parseRoute(path: string): Route {
  let parts: string[];
  try {
    parts = path.split('/').filter(Boolean).map(decodeURIComponent);
  } catch {
    return { page: 'not-found' };
  }
  if (parts.length === 0) return { page: 'clusters' };
  if (parts.length === 1 && parts[0] === 'sign-in') return { page: 'sign-in' };
  return parsePlace(parts) ?? { page: 'not-found' };
}

/** The path that names a route. */
export function routePath(route: Route): string {
  const part = encodeURIComponent;
  switch (route.page) {
    case 'sign-in':
      return '/sign-in';
    case 'clusters':
    case 'not-found':
      return '/';
    case 'namespaces':
      return `/c/${part(route.cluster)}`;
    case 'namespace':
      return `/c/${part(route.cluster)}/n/${part(route.namespace)}`;
    case 'terminal': {
      const place = `/c/${part(route.cluster)}/n/${part(route.namespace)}/p/${part(route.pod)}/${part(route.container)}`;
      return route.session === null ? place : `${place}/s/${part(route.session)}`;
    }
  }
}

function parsePlace(parts: string[]): Route | null {
  const [c, cluster, n, namespace, p, pod, container, s, session] = parts;
  if (c !== 'c' || cluster === undefined) return null;
  if (parts.length === 2) return { page: 'namespaces', cluster };
  if (n !== 'n' || namespace === undefined) return null;
  if (parts.length === 4) return { page: 'namespace', cluster, namespace };
  if (p !== 'p' || pod === undefined || container === undefined) return null;
  const place = { page: 'terminal', cluster, namespace, pod, container } as const;
  if (parts.length === 7) return { ...place, session: null };
  if (parts.length === 9 && s === 's' && session !== undefined) return { ...place, session };
  return null;
}

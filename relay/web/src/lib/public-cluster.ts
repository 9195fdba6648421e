/** Public clusters: what is asked of the person, and what a connection test found. Pure. */
import { array, boolean, nullable, object, oneOf, string, type Parsed } from './parse';

/** What the form holds of where a cluster is reached, and as whom. */
export interface AccessDraft {
  readonly by: 'kubeconfig' | 'token' | 'certificate';
  readonly kubeconfig: string;
  readonly server: string;
  readonly ca: string;
  readonly tlsServerName: string;
  readonly token: string;
  readonly certificate: string;
  readonly key: string;
}

/** How a cluster is reached, as the relay takes it. */
export type ClusterAccess = Readonly<Record<string, string>>;

export const EMPTY_DRAFT: AccessDraft = {
  by: 'kubeconfig',
  kubeconfig: '',
  server: '',
  ca: '',
  tlsServerName: '',
  token: '',
  certificate: '',
  key: '',
};

/** How the cluster is reached, as the relay takes it: only what the chosen way needs. */
export function accessOf(draft: AccessDraft): ClusterAccess {
  if (draft.by === 'kubeconfig') return { kubeconfig: draft.kubeconfig };
  const ca = draft.ca.trim();
  const name = draft.tlsServerName.trim();
  const server = {
    server: draft.server.trim(),
    ...(ca === '' ? {} : { ca }),
    ...(name === '' ? {} : { tls_server_name: name }),
  };
  return draft.by === 'token'
    ? { ...server, token: draft.token.trim() }
    : { ...server, client_certificate: draft.certificate, client_key: draft.key };
}

/** Whether enough is filled in for a connection test. */
export function canBeTested(draft: AccessDraft): boolean {
  return Object.values(accessOf(draft)).every((value) => value.trim() !== '');
}

const step = object({ step: string, state: oneOf('ok', 'failed', 'not_tried'), sentence: string });
const permission = object({
  verb: string,
  resource: string,
  allowed: oneOf('everywhere', 'some', 'nowhere'),
  namespaces: array(string),
});

export const parseConnectionTest = object({
  ok: boolean,
  kubernetes_version: nullable(string),
  steps: array(step),
  permissions: array(permission),
});

export type ConnectionTest = Parsed<typeof parseConnectionTest>;
export type Permission = ConnectionTest['permissions'][number];

const STEPS: Readonly<Record<string, string>> = {
  resolvable: 'Name',
  allowed: 'Address',
  reachable: 'Connection',
  trusted: 'Certificate',
  version: 'Kubernetes',
  authenticated: 'Credential',
  permitted: 'Permissions',
};

/** What a step is called. */
export function stepName(slug: string): string {
  return STEPS[slug] ?? slug;
}

/** Where something is allowed, in words. */
export function whereAllowed({ allowed, namespaces }: Permission): string {
  if (allowed === 'everywhere') return 'in every namespace';
  return allowed === 'some' ? `in ${namespaces.join(', ')}` : 'nowhere';
}

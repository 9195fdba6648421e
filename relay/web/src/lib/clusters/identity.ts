/** By whose rights terminals are opened in a cluster. Pure. */
import { object, oneOf, string, tag, type Parser } from '../parse';

export type KubernetesIdentity =
  | { readonly mode: 'agent' }
  /** The person's address stands behind the prefix as a user name. */
  | { readonly mode: 'impersonate'; readonly user_prefix: string };

export const DEFAULT_USER_PREFIX = 'podlatch:';

const impersonate = object({ mode: oneOf('impersonate'), user_prefix: string });
const agent = object({ mode: oneOf('agent') });

export const parseIdentity: Parser<KubernetesIdentity> = (value, path) =>
  tag(value, 'mode') === 'impersonate' ? impersonate(value, path) : agent(value, path);

/** The user name that Kubernetes sees for a person. */
export function userName(prefix: string, email: string): string {
  return prefix + email;
}

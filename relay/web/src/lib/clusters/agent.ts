/** A cluster's agents as the API describes them, and what is said about them. Pure. */
import { array, count, nullable, object, oneOf, string, time, type Parsed } from '../parse';
import type { Tone } from '../tone';

const guard = object({ namespaces: array(string), pod_labels: array(string) });

export const parseAgent = object({
  id: string,
  health: oneOf('online', 'silent', 'draining', 'offline', 'revoked'),
  replica: nullable(string),
  version: nullable(string),
  kubernetes_version: nullable(string),
  enrolled_at: time,
  last_seen_at: nullable(time),
  certificate_expires_at: time,
  generation: count,
  guard: nullable(guard),
  cloned: nullable(object({ noticed_at: time, from: string })),
});

export type Agent = Parsed<typeof parseAgent>;
export type Guard = Parsed<typeof guard>;

export const AGENT_HEALTH: Record<Agent['health'], { readonly tone: Tone; readonly text: string }> = {
  online: { tone: 'good', text: 'Online' },
  silent: { tone: 'warning', text: 'Does not answer' },
  draining: { tone: 'warning', text: 'Is being stopped' },
  offline: { tone: 'danger', text: 'Offline' },
  revoked: { tone: 'neutral', text: 'Revoked' },
};

/** What people call an agent: its pod or machine where it told, or else its id. */
export function agentName({ replica, id }: Agent): string {
  return replica ?? id;
}

/** Whether a tunnel to the agent is open. */
export function isConnected({ health }: Agent): boolean {
  return health === 'online' || health === 'silent' || health === 'draining';
}

/** Those who may still connect first; within, in the order in which they joined. */
export function inOrder(agents: readonly Agent[]): Agent[] {
  const rank = (agent: Agent) => (agent.health === 'revoked' ? 1 : 0);
  return [...agents].sort((one, other) => rank(one) - rank(other) || one.enrolled_at - other.enrolled_at);
}

/** What the agent's own guard lets through, in words. */
export function guardSentence(guard: Guard | null): string {
  if (guard === null) return 'Not told yet';
  const where = guard.namespaces.length > 0 ? `namespaces ${guard.namespaces.join(', ')}` : null;
  const which = guard.pod_labels.length > 0 ? `pods with ${guard.pod_labels.join(' and ')}` : null;
  const limits = [where, which].filter((limit) => limit !== null);
  return limits.length === 0 ? 'Everything that Kubernetes allows' : `Only ${limits.join('; only ')}`;
}

/** The end of a certificate, which the agent renews long before. */
export function certificateState(agent: Agent, now: number): 'good' | 'expired' {
  return agent.certificate_expires_at > now ? 'good' : 'expired';
}

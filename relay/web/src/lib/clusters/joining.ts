/** How an agent joins: the commands that the relay made, and how far the installation is. Pure. */
import { object, string, time, type Parsed } from '../parse';
import { agentName, isConnected, type Agent } from './agent';

/** Replicas that may join with one token. */
export const REPLICAS = { least: 1, most: 16 } as const;

export const parseJoinCommand = object({
  cluster: string,
  relay: string,
  ca_pin: string,
  join_token: string,
  expires_at: time,
  helm: string,
  plain: string,
});

export type JoinCommand = Parsed<typeof parseJoinCommand>;

/** An installation that is waited for. */
export interface Joining {
  /** How many agents the token is good for. */
  readonly replicas: number;
  /** End of the token, in ms since the Unix epoch. */
  readonly expiresAt: number;
  /** Ids of the agents that were there before. */
  readonly before: ReadonlySet<string>;
}

/** How far it is; `names` are those of the agents that joined and are connected. */
export interface JoinProgress {
  readonly kind: 'waiting' | 'complete' | 'expired';
  readonly names: readonly string[];
}

/** How far an installation is. An agent that joined in time may connect later than the token's end. */
export function joinProgress(joining: Joining, agents: readonly Agent[], now: number): JoinProgress {
  const joined = agents.filter((agent) => !joining.before.has(agent.id));
  const names = joined.filter(isConnected).map(agentName);
  if (names.length >= joining.replicas) return { kind: 'complete', names };
  const isOver = now >= joining.expiresAt && joined.length < joining.replicas;
  return { kind: isOver ? 'expired' : 'waiting', names };
}

/** The progress in a sentence or two. */
export function progressSentence({ kind, names }: JoinProgress, { replicas }: Joining): string {
  const some = names.length === 0 ? '' : `${names.length} of ${replicas} connected: ${names.join(', ')}. `;
  switch (kind) {
    case 'complete':
      return `Connected: ${names.join(', ')}.`;
    case 'expired':
      return `${some}The join token has ended. Make a new command.`;
    case 'waiting':
      return `${some}Waiting for the ${replicas === 1 ? 'agent' : 'agents'}. This page notices by itself.`;
  }
}

/** How long a token is still good, in words. */
export function timeLeft(expiresAt: number, now: number): string {
  const seconds = Math.max(0, Math.ceil((expiresAt - now) / 1_000));
  if (seconds === 0) return 'no longer good';
  const minutes = Math.ceil(seconds / 60);
  return seconds < 60 ? `good for ${seconds} s` : `good for ${minutes} min`;
}

/** The number of replicas that a text means, if it is one that a token can be made for. */
export function readReplicas(text: string): number | null {
  const number = Number(text);
  return /^\d+$/.test(text) && number >= REPLICAS.least && number <= REPLICAS.most ? number : null;
}

/** Clusters as the API describes them. Pure. */
import { nullable, object, oneOf, string, texts, time, type Parsed } from '../parse';
import type { Labels } from './labels';
import { parseLimits, type Limits } from './limits';

export const parseCluster = object({
  id: string,
  name: string,
  type: string,
  labels: texts,
  limits: parseLimits,
  state: oneOf('online', 'offline', 'never_connected'),
  trouble: nullable(string),
  agent_version: nullable(string),
  kubernetes_version: nullable(string),
  last_seen_at: nullable(time),
  created_at: time,
});

export type Cluster = Parsed<typeof parseCluster>;

/** What is to be changed; what is left out stays. */
export interface ClusterChange {
  readonly name?: string;
  /** All of them. */
  readonly labels?: Labels;
  /** All of them. */
  readonly limits?: Limits;
}

/** How a cluster of this type is reached, in words. */
export function reachedBy(type: string): string {
  switch (type) {
    case 'private':
      return 'Private: through an agent inside the cluster';
    case 'public':
      return 'Public: by the relay itself';
    default:
      return type;
  }
}

/** Whether somebody typed the name of what they are about to lose. */
export function isConfirmed(typed: string, name: string): boolean {
  return typed.trim() === name.trim();
}

/** Which colour a status is shown in. Pure. */
import type { Cluster } from './api';

export type Tone = 'good' | 'neutral' | 'warning' | 'danger';

const GOOD = new Set(['Running']);
const NEUTRAL = new Set(['Completed', 'Succeeded', 'Terminating']);
const WAITING = new Set(['Pending', 'ContainerCreating', 'PodInitializing', 'NotReady', 'SchedulingGated']);

/** The tone of a pod's status, which has the words that `kubectl` uses. What is not known is bad news there. */
export function podTone(status: string): Tone {
  if (GOOD.has(status)) return 'good';
  if (NEUTRAL.has(status)) return 'neutral';
  return WAITING.has(status) || /^Init:\d+\/\d+$/.test(status) ? 'warning' : 'danger';
}

export const CLUSTER_STATES: Record<Cluster['state'], { readonly tone: Tone; readonly text: string }> = {
  online: { tone: 'good', text: 'Online' },
  offline: { tone: 'danger', text: 'Offline' },
  never_connected: { tone: 'neutral', text: 'Not connected yet' },
};

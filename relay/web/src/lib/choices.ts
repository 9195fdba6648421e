/** Which containers a terminal icon offers. Pure. */
import type { Container, Pod } from './inventory';

/** One container that could be entered. */
export interface Choice {
  readonly pod: string;
  readonly container: Container;
  /** Whether `kubectl exec` would enter it without being told. */
  readonly isDefault: boolean;
}

/** What a pod offers: its containers, as they stand in it. */
export function podChoices(pod: Pod): Choice[] {
  return pod.containers.map((container) => ({
    pod: pod.name,
    container,
    isDefault: container.name === pod.default_container && pod.containers.length > 1,
  }));
}

/** What a workload offers: the containers of its pods that run, or of all its pods when none runs. */
export function workloadChoices(pods: readonly Pod[]): Choice[] {
  const runs = (pod: Pod) => pod.containers.some((container) => container.state === 'running');
  const running = pods.filter(runs);
  return (running.length > 0 ? running : pods).flatMap(podChoices);
}

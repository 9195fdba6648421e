/** Names of clusters by id, for headings: an address names a cluster by its id. Each is asked for once. */
import { SvelteMap } from 'svelte/reactivity';
import { api } from './app.svelte';

const names = new SvelteMap<string, string>();
// eslint-disable-next-line svelte/prefer-svelte-reactivity -- nothing is drawn from it
const asked = new Set<string>();

/** Remembers a name that an answer of the API told. */
export function rememberCluster(id: string, name: string): void {
  if (names.get(id) !== name) names.set(id, name);
}

/** The cluster's name, or a placeholder until it is known. */
export function clusterName(id: string): string {
  if (!asked.has(id) && !names.has(id)) {
    asked.add(id);
    void api.cluster(id).then((result) => {
      if (result.ok) rememberCluster(id, result.value.name);
      else asked.delete(id);
    });
  }
  return names.get(id) ?? 'Cluster';
}

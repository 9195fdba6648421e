/** Whom and what a rule can name, by id: loaded once for a page. */
import { accessApi, api } from '../app.svelte';
import type { Names } from './words';

/** Something that can be chosen. */
export interface Choice {
  readonly id: string;
  readonly text: string;
}

export class RuleNames {
  people = $state.raw<readonly Choice[]>([]);
  groups = $state.raw<readonly Choice[]>([]);
  clusters = $state.raw<readonly Choice[]>([]);
  names = $derived.by((): Names => {
    return { people: byId(this.people), groups: byId(this.groups), clusters: byId(this.clusters) };
  });

  /** Loads everything, or what everybody may see. What cannot be loaded stays without a name. */
  async load(what: 'everything' | 'clusters' = 'everything'): Promise<void> {
    const clusters = await api.clusters();
    if (clusters.ok) this.clusters = clusters.value.map(({ id, name }) => ({ id, text: name }));
    if (what === 'clusters') return;
    const [people, groups] = await Promise.all([accessApi.people(), accessApi.groups()]);
    if (people.ok) this.people = people.value.map(({ id, email }) => ({ id, text: email }));
    if (groups.ok) this.groups = groups.value.map(({ id, name }) => ({ id, text: name }));
  }
}

function byId(choices: readonly Choice[]): ReadonlyMap<string, string> {
  return new Map(choices.map(({ id, text }) => [id, text]));
}

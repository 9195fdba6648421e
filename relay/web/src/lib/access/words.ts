/** An access rule in words. Pure. */
import { formatDuration } from './duration';
import { ACTION_NAMES, ACTIONS, ROLE_NAMES, ROLES, type AccessAction, type RuleSettings, type Terms } from './rule';

/** How people, groups and clusters are called that a rule names by their ids. */
export interface Names {
  readonly people: ReadonlyMap<string, string>;
  readonly groups: ReadonlyMap<string, string>;
  readonly clusters: ReadonlyMap<string, string>;
}

export const NO_NAMES: Names = { people: new Map(), groups: new Map(), clusters: new Map() };

/** A rule's parts, each a short text. */
export interface RuleWords {
  readonly who: string;
  readonly where: string;
  readonly what: string;
  /** What it is allowed on; none for a rule that denies. */
  readonly terms: readonly string[];
}

export function ruleWords(settings: RuleSettings, names: Names): RuleWords {
  return {
    who: whoWords(settings, names),
    where: [clusterWords(settings, names), ...podWords(settings)].join(' · '),
    what: actionWords(settings.actions),
    terms: settings.effect === 'deny' ? [] : termWords(settings.effect.allow, names),
  };
}

/** Actions, in their usual order. */
export function actionWords(actions: readonly AccessAction[]): string {
  const names = ACTIONS.filter((action) => actions.includes(action)).map((action) => ACTION_NAMES[action]);
  return capital(listed(names));
}

/** `a, b and c`. */
export function listed(items: readonly string[]): string {
  const last = items.at(-1) ?? '';
  return items.length < 2 ? last : `${items.slice(0, -1).join(', ')} and ${last}`;
}

export function capital(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}

/** Labels as they are written in a form. */
export function labelWords(labels: Readonly<Record<string, string>>): string {
  return Object.entries(labels)
    .map(([name, value]) => `${name}=${value}`)
    .join(', ');
}

function whoWords({ who }: RuleSettings, { people, groups }: Names): string {
  const roles = ROLES.filter((role) => who.roles.includes(role)).map((role) => ROLE_NAMES[role]);
  const named = who.groups.map((id) => `group ${groups.get(id) ?? 'that is not known'}`);
  return capital(listed([...roles, ...named, ...who.users.map((id) => people.get(id) ?? 'somebody who is not known')]));
}

function clusterWords({ clusters }: RuleSettings, names: Names): string {
  const labels = labelWords(clusters.labels);
  const suffix = labels === '' ? '' : ` with ${labels}`;
  if (clusters.names.includes('*')) return labels === '' ? 'Every cluster' : `Clusters${suffix}`;
  const all = [...clusters.names, ...clusters.ids.map((id) => names.clusters.get(id) ?? 'one that is not known')];
  return `${all.length === 1 ? 'Cluster' : 'Clusters'} ${listed(all)}${suffix}`;
}

function podWords({ namespaces, pod_labels, containers }: RuleSettings): string[] {
  const words: string[] = [];
  if (!namespaces.includes('*')) words.push(`${plural('namespace', namespaces)} ${listed(namespaces)}`);
  const labels = labelWords(pod_labels);
  if (labels !== '') words.push(`pods with ${labels}`);
  if (!containers.includes('*')) words.push(`${plural('container', containers)} ${listed(containers)}`);
  return words;
}

function plural(word: string, items: readonly string[]): string {
  return items.length === 1 ? word : `${word}s`;
}

function termWords({ max_duration_seconds, idle_close_seconds, reason, approval }: Terms, names: Names): string[] {
  const words: string[] = [];
  if (max_duration_seconds !== null) words.push(`At most ${formatDuration(max_duration_seconds)}`);
  if (idle_close_seconds !== null) words.push(`Closed after ${formatDuration(idle_close_seconds)} without input`);
  if (reason === 'required') words.push('Needs a reason');
  if (approval !== null) {
    const { approvers, lasts_seconds } = approval;
    const whose =
      approvers === 'administrators'
        ? 'an owner or admin'
        : `group ${names.groups.get(approvers.group) ?? 'that is not known'}`;
    words.push(`Needs approval by ${whose}, for ${formatDuration(lasts_seconds)}`);
  }
  return words;
}

/** The form of an access rule: from a rule to texts and choices, and back. Pure. */
import { DURATION_HINT, formatDuration, parseDuration } from './duration';
import { ACTIONS, type AccessAction, type Effect, type Role, type RuleSettings } from './rule';
import { labelWords } from './words';

/** What the form holds. */
export interface RuleDraft {
  readonly name: string;
  readonly effect: 'allow' | 'deny';
  readonly users: readonly string[];
  readonly groups: readonly string[];
  readonly roles: readonly Role[];
  /** One pattern a line: names of clusters may have blanks and commas. */
  readonly clusterNames: string;
  readonly clusterIds: readonly string[];
  readonly clusterLabels: string;
  readonly namespaces: string;
  readonly podLabels: string;
  readonly containers: string;
  readonly actions: readonly AccessAction[];
  /** A length of time; empty: no limit of its own. */
  readonly maxDuration: string;
  readonly idleClose: string;
  readonly reason: 'optional' | 'required';
  /** `administrators`, the id of a group, or `nobody` where no approval is needed. */
  readonly approvers: string;
  readonly approvalLasts: string;
}

/** A field of the form that something can be wrong with. */
export type DraftField =
  | 'name'
  | 'who'
  | 'clusters'
  | 'clusterLabels'
  | 'namespaces'
  | 'podLabels'
  | 'containers'
  | 'actions'
  | 'maxDuration'
  | 'idleClose'
  | 'approvalLasts';

export type DraftProblems = Readonly<Partial<Record<DraftField, string>>>;

export type ReadDraft =
  { readonly ok: true; readonly settings: RuleSettings } | { readonly ok: false; readonly problems: DraftProblems };

/** A new rule: it allows nobody anything until somebody is named. */
export const NEW_RULE: RuleDraft = {
  name: '',
  effect: 'allow',
  users: [],
  groups: [],
  roles: [],
  clusterNames: '*',
  clusterIds: [],
  clusterLabels: '',
  namespaces: '*',
  podLabels: '',
  containers: '*',
  actions: ['view', 'exec'],
  maxDuration: '',
  idleClose: '',
  reason: 'optional',
  approvers: 'nobody',
  approvalLasts: '1h',
};

/** The form of a rule that is there. */
export function draftOf(settings: RuleSettings): RuleDraft {
  const { effect, who, clusters } = settings;
  const terms = effect === 'deny' ? null : effect.allow;
  const approvers = terms?.approval?.approvers;
  const duration = (seconds: number | null | undefined) => (seconds == null ? '' : formatDuration(seconds));
  return {
    name: settings.name,
    effect: effect === 'deny' ? 'deny' : 'allow',
    ...who,
    clusterNames: clusters.names.join('\n'),
    clusterIds: clusters.ids,
    clusterLabels: labelWords(clusters.labels),
    namespaces: settings.namespaces.join(', '),
    podLabels: labelWords(settings.pod_labels),
    containers: settings.containers.join(', '),
    actions: settings.actions,
    maxDuration: duration(terms?.max_duration_seconds),
    idleClose: duration(terms?.idle_close_seconds),
    reason: terms?.reason ?? 'optional',
    approvers: approvers === undefined ? 'nobody' : approvers === 'administrators' ? approvers : approvers.group,
    approvalLasts: duration(terms?.approval?.lasts_seconds) || NEW_RULE.approvalLasts,
  };
}

/** What the form says, or what is missing. */
export function readDraft(draft: RuleDraft): ReadDraft {
  const problems: Partial<Record<DraftField, string>> = {};
  const clusterNames = split(draft.clusterNames, /\n/);
  const namespaces = split(draft.namespaces, /[\s,]+/);
  const containers = split(draft.containers, /[\s,]+/);
  const labels = (field: 'clusterLabels' | 'podLabels') => {
    const found = readLabels(draft[field]);
    if (found === null) problems[field] = 'Write labels as app=web, tier=front.';
    return found ?? {};
  };
  if (draft.name.trim() === '') problems.name = 'Give the rule a name.';
  if (draft.users.length + draft.groups.length + draft.roles.length === 0) {
    problems.who = 'Name somebody: people, groups or roles.';
  }
  if (clusterNames.length + draft.clusterIds.length === 0) problems.clusters = 'Name clusters; * stands for all.';
  if (namespaces.length === 0) problems.namespaces = 'Name namespaces; * stands for all.';
  if (containers.length === 0) problems.containers = 'Name containers; * stands for all.';
  if (draft.actions.length === 0) problems.actions = 'Choose at least one.';
  const settings = {
    name: draft.name.trim(),
    effect: readEffect(draft, problems),
    who: { users: [...draft.users], groups: [...draft.groups], roles: [...draft.roles] },
    clusters: { names: clusterNames, ids: [...draft.clusterIds], labels: labels('clusterLabels') },
    namespaces,
    pod_labels: labels('podLabels'),
    containers,
    actions: ACTIONS.filter((action) => draft.actions.includes(action)),
  };
  return Object.keys(problems).length === 0 ? { ok: true, settings } : { ok: false, problems };
}

/** Labels of a text such as `app=web, tier=front`; `null` if it is none. */
export function readLabels(text: string): Record<string, string> | null {
  const pairs = split(text, /[\s,]+/).map((pair) => pair.split('='));
  if (pairs.some(([name, value, ...more]) => !name || value === undefined || more.length > 0)) return null;
  return Object.fromEntries(pairs) as Record<string, string>;
}

function readEffect(draft: RuleDraft, problems: Partial<Record<DraftField, string>>): Effect {
  if (draft.effect === 'deny') return 'deny';
  const duration = (field: 'maxDuration' | 'idleClose' | 'approvalLasts') => {
    if (draft[field].trim() === '' && field !== 'approvalLasts') return null;
    const seconds = parseDuration(draft[field]);
    if (seconds === null) problems[field] = DURATION_HINT;
    return seconds;
  };
  const { approvers } = draft;
  const whose = approvers === 'administrators' ? ('administrators' as const) : { group: approvers };
  const approval = approvers === 'nobody' ? null : { lasts_seconds: duration('approvalLasts') ?? 0, approvers: whose };
  return {
    allow: {
      max_duration_seconds: duration('maxDuration'),
      idle_close_seconds: duration('idleClose'),
      reason: draft.reason,
      approval,
    },
  };
}

function split(text: string, separator: RegExp): string[] {
  return text
    .split(separator)
    .map((part) => part.trim())
    .filter((part) => part !== '');
}

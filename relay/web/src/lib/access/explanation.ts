/** "Who can open this, and why": the question as it stands in an address, and the answer in words. Pure. */
import { array, count, nullable, object, oneOf, string, type Parsed } from '../parse';
import type { Tone } from '../tone';
import { formatDuration } from './duration';
import { readAction, type AccessAction } from './rule';

/** What is asked. Empty texts: not known. */
export interface AccessQuestion {
  /** Empty: oneself. */
  readonly user: string;
  readonly cluster: string;
  readonly namespace: string;
  readonly pod: string;
  readonly podLabels: string;
  readonly container: string;
  readonly action: AccessAction;
}

export const NO_QUESTION: AccessQuestion = {
  user: '',
  cluster: '',
  namespace: '',
  pod: '',
  podLabels: '',
  container: '',
  action: 'exec',
};

const FIELDS = [
  ['user', 'user'],
  ['cluster', 'cluster'],
  ['namespace', 'namespace'],
  ['pod', 'pod'],
  ['podLabels', 'pod_labels'],
  ['container', 'container'],
] as const;

const part = oneOf('action', 'who', 'cluster', 'namespace', 'pod_labels', 'container');

const explained = object({
  id: string,
  name: string,
  effect: oneOf('allow', 'deny'),
  fit: oneOf('fits', 'does_not_fit', 'unknown'),
  part: nullable(part),
});

export const parseExplanation = object({
  decision: oneOf('allowed', 'reason_required', 'approval_required', 'denied'),
  message: string,
  decided_by: array(string),
  max_duration_seconds: nullable(count),
  idle_close_seconds: nullable(count),
  rules: array(explained),
});

export type Explanation = Parsed<typeof parseExplanation>;
export type ExplainedRule = Explanation['rules'][number];

/** The question of an address's query. */
export function readQuestion(query: URLSearchParams): AccessQuestion {
  const texts = FIELDS.map(([field, name]) => [field, query.get(name) ?? '']);
  const action = readAction(query.get('action')) ?? NO_QUESTION.action;
  return { ...NO_QUESTION, ...(Object.fromEntries(texts) as Partial<AccessQuestion>), action };
}

/** The query of an address, and of the API: only what is known. */
export function questionQuery(question: AccessQuestion): URLSearchParams {
  const query = new URLSearchParams();
  for (const [field, name] of FIELDS) {
    const text = question[field].trim();
    if (text !== '') query.set(name, text);
  }
  query.set('action', question.action);
  return query;
}

const DECISIONS: Record<Explanation['decision'], { readonly tone: Tone; readonly text: string }> = {
  allowed: { tone: 'good', text: 'Allowed' },
  reason_required: { tone: 'warning', text: 'Allowed with a reason' },
  approval_required: { tone: 'warning', text: 'Needs approval' },
  denied: { tone: 'danger', text: 'Not allowed' },
};

export function decisionWords({ decision }: Explanation): { readonly tone: Tone; readonly text: string } {
  return DECISIONS[decision];
}

/** How long it may go on, by the rules. */
export function limitWords({ max_duration_seconds, idle_close_seconds }: Explanation): string[] {
  const words: string[] = [];
  if (max_duration_seconds !== null) words.push(`A session lasts at most ${formatDuration(max_duration_seconds)}.`);
  if (idle_close_seconds !== null) {
    words.push(`It is closed after ${formatDuration(idle_close_seconds)} without input.`);
  }
  return words;
}

const MISFITS: Record<NonNullable<ExplainedRule['part']>, string> = {
  action: 'it is about other actions',
  who: 'it is about other people',
  cluster: 'it is about other clusters',
  namespace: 'it is about other namespaces',
  pod_labels: 'the pod lacks its labels',
  container: 'it is about other containers',
};

const UNKNOWNS: Record<NonNullable<ExplainedRule['part']>, string> = {
  action: 'the action is not known',
  who: 'the person is not known',
  cluster: 'the cluster is not known',
  namespace: 'the namespace is not known',
  pod_labels: 'the pod’s labels are not known',
  container: 'the container is not known',
};

/** Why a rule says something here, or does not. */
export function fitWords({ fit, part: of, effect }: ExplainedRule): string {
  if (fit === 'fits') return 'Matches in every part.';
  if (fit === 'does_not_fit') return `Does not match: ${of === null ? 'in some part' : MISFITS[of]}.`;
  const missing = of === null ? 'not enough is known' : UNKNOWNS[of];
  return effect === 'deny' ? `Counts, because ${missing} and could match.` : `Does not count: ${missing}.`;
}

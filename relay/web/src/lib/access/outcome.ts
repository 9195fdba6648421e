/** What a change of the rules would do, in words. Pure. */
import { array, boolean, nullable, object, oneOf, string, type Parsed } from '../parse';
import { ACTIONS, type AccessAction } from './rule';
import { actionWords } from './words';

const verdict = oneOf('allowed', 'reason_required', 'approval_required', 'denied', 'possible');

const change = object({
  user: string,
  email: string,
  cluster: string,
  cluster_name: string,
  namespace: nullable(string),
  pod: nullable(string),
  container: nullable(string),
  action: oneOf(...ACTIONS),
  before: verdict,
  after: verdict,
});

export const parseOutcome = object({
  changes: array(change),
  truncated: boolean,
  ending_sessions: array(object({ id: string, user: string, cause: string })),
});

export type Verdict = Parsed<typeof verdict>;
export type Outcome = Parsed<typeof parseOutcome>;
export type AccessChange = Parsed<typeof change>;

/** One line of what is gained or lost. */
export interface OutcomeLine {
  readonly email: string;
  /** What, capitalised: `Open terminals and watch recordings`. */
  readonly what: string;
  readonly where: string;
  /** What changes about it: `not allowed → allowed`. */
  readonly change: string;
}

/** Who gains and who loses what. */
export interface OutcomeLines {
  readonly gains: readonly OutcomeLine[];
  readonly losses: readonly OutcomeLine[];
}

/** From nothing to everything. */
const RANKS: Record<Verdict, number> = { denied: 0, approval_required: 1, reason_required: 2, possible: 3, allowed: 3 };

const VERDICTS: Record<Verdict, string> = {
  allowed: 'allowed',
  possible: 'allowed somewhere in it',
  reason_required: 'allowed with a reason',
  approval_required: 'allowed after approval',
  denied: 'not allowed',
};

/** Puts actions together that change in the same way for the same person in the same place. */
export function outcomeLines(changes: readonly AccessChange[]): OutcomeLines {
  const groups = new Map<string, AccessChange[]>();
  for (const item of changes) {
    const { user, cluster, namespace, pod, container, before, after } = item;
    const key = JSON.stringify([user, cluster, namespace, pod, container, before, after]);
    groups.set(key, [...(groups.get(key) ?? []), item]);
  }
  const gains: OutcomeLine[] = [];
  const losses: OutcomeLine[] = [];
  for (const [first, ...others] of groups.values()) {
    if (first === undefined) continue;
    const line = lineOf(
      first,
      [first, ...others].map((item) => item.action),
    );
    (RANKS[first.after] > RANKS[first.before] ? gains : losses).push(line);
  }
  return { gains, losses };
}

/** What a decision is called. */
export function verdictWords(of: Verdict): string {
  return VERDICTS[of];
}

/** A cluster, or a place in one. */
export function placeWords(place: {
  readonly cluster_name: string;
  readonly namespace: string | null;
  readonly pod: string | null;
  readonly container?: string | null;
}): string {
  const { cluster_name, namespace, pod, container } = place;
  const target = [pod, container].filter((part) => part != null).join(' / ');
  return [cluster_name, namespace, target].filter((part) => part !== null && part !== '').join(' · ');
}

function lineOf(item: AccessChange, actions: readonly AccessAction[]): OutcomeLine {
  return {
    email: item.email,
    what: actionWords(actions),
    where: placeWords(item),
    change: `${VERDICTS[item.before]} → ${VERDICTS[item.after]}`,
  };
}

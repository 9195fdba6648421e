/** What a refusal to open a terminal asks of the person. Pure. */
import type { ApiError } from '../api';
import type { TerminalPlace } from '../route';
import { NO_QUESTION, type AccessQuestion } from './explanation';

export type RefusalKind =
  /** The rules want to know why: ask, and open again with it. */
  | 'reason'
  /** The rules want another person's approval. */
  | 'approval'
  /** Nothing allows it; the explanation says which rule is missing. */
  | 'denied'
  /** It may work another time. */
  | 'failed';

export interface Refusal {
  readonly kind: RefusalKind;
  readonly title: string;
  readonly sentence: string;
}

/** What to make of a problem that the relay answered. */
export function refusalOf({ slug, sentence }: ApiError): Refusal {
  switch (slug) {
    case 'reason_required':
      return { kind: 'reason', title: 'Why do you need this terminal?', sentence };
    case 'approval_required':
      return { kind: 'approval', title: 'Somebody else has to approve this', sentence };
    case 'forbidden':
      return { kind: 'denied', title: 'You may not open a terminal here', sentence };
    default:
      return { kind: 'failed', title: 'No terminal could be opened', sentence };
  }
}

/** What to ask to find out why. */
export function questionOf({ cluster, namespace, pod, container }: TerminalPlace): AccessQuestion {
  return { ...NO_QUESTION, cluster, namespace, pod, container };
}

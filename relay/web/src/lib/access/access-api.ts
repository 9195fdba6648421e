/** Access rules and requests at the relay, typed. Every call returns a result; none throws, and none waits for ever. */
import { API_DEADLINE_MS, PAGE_ITEMS, problemOf, transportError, type ApiResult, type Page } from '../api';
import { array, nullable, object, parseJson, string, type Parsed, type Parser } from '../parse';
import { parseExplanation, questionQuery, type AccessQuestion, type Explanation } from './explanation';
import { parseOutcome, type Outcome } from './outcome';
import { parseRequest, type AccessRequest, type NewRequest, type RequestDecision } from './request';
import { parseRule, type Rule, type RuleSettings } from './rule';

const person = object({ user: object({ id: string, email: string }) });
const group = object({ id: string, name: string });
const page = <T>(item: Parser<T>): Parser<Page<T>> => object({ items: array(item), next_cursor: nullable(string) });

/** Somebody whom a rule can name. */
export type PersonName = Parsed<typeof person>['user'];
/** A group that a rule can name. */
export type GroupName = Parsed<typeof group>;

/** A change of the rules that is tried: of one rule to these settings, or to none if it is deleted. */
export interface Trial {
  /** `null` for a new rule. */
  readonly rule: string | null;
  readonly settings: RuleSettings | null;
}

interface Call {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  readonly path: string;
  readonly body?: object;
  /** The revision that a change is meant for. */
  readonly revision?: number;
}

export class AccessApi {
  readonly #fetch: typeof fetch;

  constructor(fetcher: typeof fetch) {
    this.#fetch = fetcher;
  }

  /** Every rule, oldest first. */
  rules(): Promise<ApiResult<Rule[]>> {
    return this.#all('/access-rules', parseRule);
  }

  rule(id: string): Promise<ApiResult<Rule>> {
    return this.#call({ method: 'GET', path: rulePath(id) }, parseRule);
  }

  createRule(settings: RuleSettings): Promise<ApiResult<Rule>> {
    return this.#call({ method: 'POST', path: '/access-rules', body: settings }, parseRule);
  }

  /** Changes the rule that still has this revision; `conflict` where somebody else was faster. */
  changeRule(id: string, revision: number, settings: RuleSettings): Promise<ApiResult<Rule>> {
    return this.#call({ method: 'PUT', path: rulePath(id), body: settings, revision }, parseRule);
  }

  deleteRule(id: string, revision: number): Promise<ApiResult<null>> {
    return this.#call({ method: 'DELETE', path: rulePath(id), revision }, null);
  }

  /** What a change would do. Nothing is changed. */
  dryRun({ rule, settings }: Trial): Promise<ApiResult<Outcome>> {
    const body = { ...(rule !== null && { rule }), ...(settings !== null && { settings }) };
    return this.#call({ method: 'POST', path: '/access-rules/dry-run', body }, parseOutcome);
  }

  explain(question: AccessQuestion): Promise<ApiResult<Explanation>> {
    const path = `/access/explanation?${questionQuery(question).toString()}`;
    return this.#call({ method: 'GET', path }, parseExplanation);
  }

  /** A page of the requests that one made or may decide about, newest first. */
  requests(cursor: string | null): Promise<ApiResult<Page<AccessRequest>>> {
    return this.#page('/access-requests', cursor, parseRequest);
  }

  request(wanted: NewRequest): Promise<ApiResult<AccessRequest>> {
    return this.#call({ method: 'POST', path: '/access-requests', body: wanted }, parseRequest);
  }

  decide(id: string, decision: RequestDecision): Promise<ApiResult<AccessRequest>> {
    const path = `/access-requests/${encodeURIComponent(id)}/decision`;
    return this.#call({ method: 'POST', path, body: { decision } }, parseRequest);
  }

  /** Everybody whom a rule can name; for owners, admins and auditors. */
  async people(): Promise<ApiResult<PersonName[]>> {
    const result = await this.#all('/people', person);
    return result.ok ? { ok: true, value: result.value.map(({ user }) => user) } : result;
  }

  groups(): Promise<ApiResult<GroupName[]>> {
    return this.#all('/groups', group);
  }

  async #all<T>(path: string, item: Parser<T>): Promise<ApiResult<T[]>> {
    const items: T[] = [];
    let cursor: string | null = null;
    do {
      const result: ApiResult<Page<T>> = await this.#page(path, cursor, item);
      if (!result.ok) return result;
      items.push(...result.value.items);
      cursor = result.value.next_cursor;
    } while (cursor !== null);
    return { ok: true, value: items };
  }

  #page<T>(path: string, cursor: string | null, item: Parser<T>): Promise<ApiResult<Page<T>>> {
    const query = new URLSearchParams({ limit: String(PAGE_ITEMS) });
    if (cursor !== null) query.set('cursor', cursor);
    return this.#call({ method: 'GET', path: `${path}?${query.toString()}` }, page(item));
  }

  async #call<T>(call: Call, answer: Parser<T>): Promise<ApiResult<T>>;
  async #call(call: Call, answer: null): Promise<ApiResult<null>>;
  async #call({ method, path, body, revision }: Call, answer: Parser<unknown> | null): Promise<ApiResult<unknown>> {
    try {
      const response = await this.#fetch(`/api/v1${path}`, {
        method,
        credentials: 'same-origin',
        signal: AbortSignal.timeout(API_DEADLINE_MS),
        headers: {
          accept: 'application/json',
          ...(body && { 'content-type': 'application/json' }),
          ...(revision !== undefined && { 'if-match': `"${revision}"` }),
        },
        ...(body && { body: JSON.stringify(body) }),
      });
      if (!response.ok) return { ok: false, error: await problemOf(response) };
      return { ok: true, value: answer === null ? null : parseJson(await response.text(), answer) };
    } catch (error) {
      return { ok: false, error: transportError(error) };
    }
  }
}

function rulePath(id: string): string {
  return `/access-rules/${encodeURIComponent(id)}`;
}

import { describe, expect, it } from 'vitest';
import { AccessApi } from '../src/lib/access/access-api';
import { draftOf, NEW_RULE, readDraft, readLabels, type DraftField, type RuleDraft } from '../src/lib/access/draft';
import { formatDuration, parseDuration } from '../src/lib/access/duration';
import {
  fitWords,
  limitWords,
  NO_QUESTION,
  parseExplanation,
  questionQuery,
  readQuestion,
} from '../src/lib/access/explanation';
import { outcomeLines, parseOutcome, placeWords } from '../src/lib/access/outcome';
import { questionOf, refusalOf } from '../src/lib/access/refusal';
import { parseRequest, requestDecisions, requestFor } from '../src/lib/access/request';
import { parseRule } from '../src/lib/access/rule';
import { NO_NAMES, ruleWords } from '../src/lib/access/words';

const TIMES = { created_at: '2026-05-01T12:00:00Z', updated_at: '2026-05-01T12:00:00Z' };

/** As the relay writes the rule that every organisation begins with. */
const OWNERS = {
  name: 'Owners may open everything',
  effect: { allow: { max_duration_seconds: null, idle_close_seconds: null, reason: 'optional', approval: null } },
  who: { users: [], groups: [], roles: ['owner'] },
  clusters: { names: ['*'], ids: [], labels: {} },
  namespaces: ['*'],
  pod_labels: {},
  containers: ['*'],
  actions: ['view', 'exec', 'debug', 'observe', 'replay'],
};

/** One that says something in every part. */
const SHOP = {
  name: 'Shop',
  effect: {
    allow: {
      max_duration_seconds: 5_400,
      idle_close_seconds: 900,
      reason: 'required',
      approval: { lasts_seconds: 3_600, approvers: { group: 'g1' } },
    },
  },
  who: { users: ['u1', 'u9'], groups: ['g1'], roles: ['member', 'admin'] },
  clusters: { names: ['prod-*', 'old, one'], ids: ['c1'], labels: { env: 'prod' } },
  namespaces: ['shop', 'team-*'],
  pod_labels: { app: 'web', tier: 'front' },
  containers: ['main'],
  actions: ['exec', 'view'],
};

const NAMES = {
  people: new Map([['u1', 'ada@example.com']]),
  groups: new Map([['g1', 'Ops']]),
  clusters: new Map([['c1', 'berlin']]),
};

const settings = (value: object) => parseRule({ id: 'r1', revision: 3, ...TIMES, settings: value }, '$').settings;

describe('a length of time', () => {
  it.each([
    ['8h', 28_800],
    ['1h 30m', 5_400],
    ['1h30m', 5_400],
    [' 90S ', 90],
    ['31d', 2_678_400],
  ])('%s is understood', (text, seconds) => {
    expect(parseDuration(text)).toBe(seconds);
  });

  it.each(['', '8', 'h', '0s', '32d', '1.5h', '-1h', '1h x', '99999999d'])('“%s” is none', (text) => {
    expect(parseDuration(text)).toBeNull();
  });

  it.each([1, 59, 60, 3_601, 90_061, 2_678_400])('of %i s survives being written', (seconds) => {
    expect(parseDuration(formatDuration(seconds))).toBe(seconds);
  });
});

describe('a rule', () => {
  it('is told in words', () => {
    expect(ruleWords(settings(SHOP), NAMES)).toEqual({
      who: 'Admins, members, group Ops, ada@example.com and somebody who is not known',
      where:
        'Clusters prod-*, old, one and berlin with env=prod · namespaces shop and team-* · pods with app=web, tier=front · container main',
      what: 'See pods and open terminals',
      terms: [
        'At most 1h 30m',
        'Closed after 15m without input',
        'Needs a reason',
        'Needs approval by group Ops, for 1h',
      ],
    });
    expect(ruleWords(settings(OWNERS), NO_NAMES)).toEqual({
      who: 'Owners',
      where: 'Every cluster',
      what: 'See pods, open terminals, add debug containers, observe sessions and watch recordings',
      terms: [],
    });
    expect(ruleWords(settings({ ...OWNERS, effect: 'deny' }), NO_NAMES).terms).toEqual([]);
  });

  it.each([OWNERS, { ...SHOP, actions: ['view', 'exec'] }, { ...SHOP, effect: 'deny', actions: ['view', 'exec'] }])(
    'survives its form: $name',
    (rule) => {
      expect(readDraft(draftOf(settings(rule)))).toEqual({ ok: true, settings: rule });
    },
  );

  const good: RuleDraft = { ...NEW_RULE, name: 'Shop', roles: ['member'] };

  it('of a form has what it says', () => {
    const draft: RuleDraft = { ...good, namespaces: 'a,b  c', approvers: 'administrators', approvalLasts: '2h' };
    const read = readDraft(draft);
    expect(read.ok && read.settings).toMatchObject({
      clusters: { names: ['*'] },
      namespaces: ['a', 'b', 'c'],
      effect: {
        allow: { max_duration_seconds: null, approval: { lasts_seconds: 7_200, approvers: 'administrators' } },
      },
    });
  });

  it.each<[DraftField, Partial<RuleDraft>]>([
    ['name', { name: ' ' }],
    ['who', { roles: [] }],
    ['clusters', { clusterNames: '\n' }],
    ['clusterLabels', { clusterLabels: 'env' }],
    ['namespaces', { namespaces: ' , ' }],
    ['podLabels', { podLabels: 'a=b=c' }],
    ['containers', { containers: '' }],
    ['actions', { actions: [] }],
    ['maxDuration', { maxDuration: '8 hours' }],
    ['idleClose', { idleClose: '0s' }],
    ['approvalLasts', { approvers: 'administrators', approvalLasts: '' }],
  ])('whose %s is wrong is not sent', (field, change) => {
    const read = readDraft({ ...good, ...change });
    expect(read.ok ? [] : Object.keys(read.problems)).toEqual([field]);
  });

  it('that denies has no terms to be wrong', () => {
    const read = readDraft({ ...good, effect: 'deny', maxDuration: 'x' });
    expect(read.ok && read.settings.effect).toBe('deny');
  });

  it('takes labels only as pairs', () => {
    expect(readLabels('a=b, c=')).toEqual({ a: 'b', c: '' });
    expect(readLabels('')).toEqual({});
    expect(readLabels('=b')).toBeNull();
  });
});

describe('a dry run', () => {
  const change = {
    user: 'u1',
    email: 'ada@example.com',
    cluster: 'c1',
    cluster_name: 'berlin',
    namespace: 'shop',
    pod: 'web',
    container: 'main',
    action: 'exec',
    before: 'denied',
    after: 'reason_required',
  };

  it('tells who gains and who loses what, once for all actions', () => {
    const other = { ...change, user: 'u2', email: 'bob@example.com', before: 'possible', after: 'denied', pod: null };
    const { changes } = parseOutcome(
      {
        changes: [change, { ...change, action: 'debug' }, { ...other, namespace: null, container: null }],
        truncated: false,
        ending_sessions: [{ id: 's1', user: 'u2', cause: 'rule_changed' }],
      },
      '$',
    );
    expect(outcomeLines(changes)).toEqual({
      gains: [
        {
          email: 'ada@example.com',
          what: 'Open terminals and add debug containers',
          where: 'berlin · shop · web / main',
          change: 'not allowed → allowed with a reason',
        },
      ],
      losses: [
        {
          email: 'bob@example.com',
          what: 'Open terminals',
          where: 'berlin',
          change: 'allowed somewhere in it → not allowed',
        },
      ],
    });
  });

  it('calls more terms a loss', () => {
    const stricter = { ...change, before: 'allowed', after: 'approval_required' };
    const { changes } = parseOutcome({ changes: [stricter], truncated: false, ending_sessions: [] }, '$');
    expect(outcomeLines(changes)).toMatchObject({
      gains: [],
      losses: [{ change: 'allowed → allowed after approval' }],
    });
    expect(placeWords({ cluster_name: 'berlin', namespace: 'shop', pod: null })).toBe('berlin · shop');
  });
});

describe('an explanation', () => {
  it('is asked with what is known', () => {
    const question = { ...NO_QUESTION, cluster: 'c1', namespace: ' shop ', podLabels: 'app=web' };
    const query = questionQuery(question);
    expect(query.toString()).toBe('cluster=c1&namespace=shop&pod_labels=app%3Dweb&action=exec');
    expect(readQuestion(query)).toEqual({ ...question, namespace: 'shop' });
    expect(readQuestion(new URLSearchParams('action=sudo'))).toEqual(NO_QUESTION);
  });

  it('says of each rule why it counts or not', () => {
    const rule = { id: 'r1', name: 'Shop', effect: 'allow', fit: 'fits', part: null };
    const { rules, ...rest } = parseExplanation(
      {
        decision: 'allowed',
        message: 'Yes.',
        decided_by: ['r1'],
        max_duration_seconds: 3_600,
        idle_close_seconds: null,
        rules: [
          rule,
          { ...rule, fit: 'does_not_fit', part: 'namespace' },
          { ...rule, fit: 'unknown', part: 'pod_labels' },
          { ...rule, fit: 'unknown', part: 'container', effect: 'deny' },
        ],
      },
      '$',
    );
    expect(rules.map(fitWords)).toEqual([
      'Matches in every part.',
      'Does not match: it is about other namespaces.',
      'Does not count: the pod’s labels are not known.',
      'Counts, because the container is not known and could match.',
    ]);
    expect(limitWords({ ...rest, rules })).toEqual(['A session lasts at most 1h.']);
  });
});

describe('a refusal', () => {
  it.each([
    ['reason_required', 'reason'],
    ['approval_required', 'approval'],
    ['forbidden', 'denied'],
    ['agent_offline', 'failed'],
  ])('%s asks for the right thing', (slug, kind) => {
    expect(refusalOf({ slug, status: 403, sentence: 'A sentence.' })).toMatchObject({ kind, sentence: 'A sentence.' });
  });

  it('leads to why', () => {
    const place = { cluster: 'c1', namespace: 'shop', pod: 'web', container: 'main' };
    expect(questionOf(place)).toEqual({ ...NO_QUESTION, ...place });
  });
});

describe('a request', () => {
  const member = { id: 'u1', role: 'member' };
  const owner = { id: 'u2', role: 'owner' };
  const request = (change: object = {}) =>
    parseRequest(
      {
        id: 'q1',
        user: 'u1',
        email: 'ada@example.com',
        cluster: 'c1',
        cluster_name: 'berlin',
        namespace: 'shop',
        pod: 'web',
        action: 'exec',
        reason: 'Repair',
        duration_seconds: 3_600,
        state: 'pending',
        decided_by: null,
        expires_at: null,
        created_at: '2026-05-01T12:00:00Z',
        may_decide: false,
        ...change,
      },
      '$',
    );

  it('is decided by others, and taken back by those whom it concerns', () => {
    const decidable = request({ may_decide: true });
    expect(requestDecisions(decidable, owner)).toEqual(['approve', 'deny']);
    // Whatever the relay says, nobody is offered to approve their own.
    expect(requestDecisions(decidable, member)).toEqual(['withdraw']);
    expect(requestDecisions(request(), owner)).toEqual([]);
    expect(requestDecisions(request({ state: 'approved', may_decide: true }), owner)).toEqual(['withdraw']);
    expect(requestDecisions(request({ state: 'approved' }), member)).toEqual(['withdraw']);
    expect(requestDecisions(request({ state: 'denied', may_decide: true }), owner)).toEqual([]);
  });

  it('is found again where a terminal needs it', () => {
    const place = { cluster: 'c1', namespace: 'shop', pod: 'web', container: 'main' };
    const wide = request({ id: 'q2', pod: null, namespace: null, created_at: '2026-05-01T13:00:00Z' });
    expect(requestFor([request(), wide], place, member)?.id).toBe('q2');
    for (const other of [{ user: 'u3' }, { cluster: 'c2' }, { pod: 'db' }, { state: 'over' }, { action: 'debug' }]) {
      expect(requestFor([request(other)], place, member)).toBeNull();
    }
  });
});

describe('the API of access rules', () => {
  function relay(status: number, answer: object | null) {
    const calls: { path: string; init: RequestInit | undefined }[] = [];
    const api = new AccessApi((input, init) => {
      calls.push({ path: input as string, init });
      return Promise.resolve(new Response(answer === null ? null : JSON.stringify(answer), { status }));
    });
    return { api, calls };
  }

  it('changes only the revision that was seen', async () => {
    const { api, calls } = relay(412, { type: 'urn:podlatch:problem:conflict', title: 'x', detail: 'Changed.' });
    const result = await api.changeRule('r/1', 3, settings(OWNERS));
    expect(!result.ok && result.error).toEqual({ slug: 'conflict', status: 412, sentence: 'Changed.' });
    expect(calls[0]).toMatchObject({
      path: '/api/v1/access-rules/r%2F1',
      init: { method: 'PUT', headers: { 'if-match': '"3"' } },
    });
  });

  it('tries a new rule, a change and a deletion', async () => {
    const { api, calls } = relay(200, { changes: [], truncated: false, ending_sessions: [] });
    const rule = settings(OWNERS);
    await api.dryRun({ rule: null, settings: rule });
    await api.dryRun({ rule: 'r1', settings: rule });
    await api.dryRun({ rule: 'r1', settings: null });
    const bodies = calls.map((call) => JSON.parse(call.init?.body as string) as unknown);
    expect(bodies).toEqual([{ settings: rule }, { rule: 'r1', settings: rule }, { rule: 'r1' }]);
  });
});

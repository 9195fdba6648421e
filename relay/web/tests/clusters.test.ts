import { describe, expect, it } from 'vitest';
import { DURATION_HINT } from '../src/lib/access/duration';
import { Api } from '../src/lib/api';
import { certificateState, guardSentence, inOrder, parseAgent, type Agent } from '../src/lib/clusters/agent';
import { isConfirmed } from '../src/lib/clusters/cluster';
import { parseIdentity, userName } from '../src/lib/clusters/identity';
import { joinProgress, progressSentence, readReplicas, timeLeft } from '../src/lib/clusters/joining';
import { readLabels, writeLabels } from '../src/lib/clusters/labels';
import { draftOfLimits, readLimits } from '../src/lib/clusters/limits';

const SENT = {
  id: 'a1',
  health: 'online',
  replica: 'podlatch-agent-0',
  version: '0.1.0',
  kubernetes_version: 'v1.33.1',
  enrolled_at: '2026-01-02T03:04:05.000Z',
  last_seen_at: null,
  certificate_expires_at: '2026-01-03T03:04:05.000Z',
  generation: 1,
  guard: null,
  cloned: null,
};

const agent = (part: Partial<Agent>): Agent => ({ ...parseAgent(SENT, '$'), ...part });

describe('labels', () => {
  it('are written one a line, and read back', () => {
    const labels = { team: 'shop', 'example.org/env': 'prod', empty: '' };
    expect(writeLabels(labels)).toBe('empty=\nexample.org/env=prod\nteam=shop');
    expect(readLabels(writeLabels(labels))).toEqual({ ok: true, labels });
  });

  it('may be written carelessly', () => {
    expect(readLabels(' a = b ,c=d\n\n')).toEqual({ ok: true, labels: { a: 'b', c: 'd' } });
    expect(readLabels('')).toEqual({ ok: true, labels: {} });
  });

  it.each([
    ['prod', '“prod” is no label. Write it as name=value.'],
    ['=prod', '“=prod” is no label. Write it as name=value.'],
    ['a=b\na=c', 'The label a is there twice. Keep one.'],
  ])('%j is none', (text, sentence) => {
    expect(readLabels(text)).toEqual({ ok: false, sentence });
  });

  it('reach the relay whatever they are called', () => {
    const read = readLabels('__proto__=x');
    expect(read.ok && JSON.stringify(read.labels)).toBe('{"__proto__":"x"}');
  });
});

describe('an installation', () => {
  const joining = { replicas: 2, expiresAt: 1_000, before: new Set(['old']) };
  const old = agent({ id: 'old', replica: 'old' });

  it('waits for agents that were not there before', () => {
    const progress = joinProgress(joining, [old], 0);
    expect(progress).toEqual({ kind: 'waiting', names: [] });
    expect(progressSentence(progress, joining)).toBe('Waiting for the agents. This page notices by itself.');
  });

  it('tells who has come, and when all have', () => {
    const [first, second] = [agent({ id: 'n1', replica: 'one' }), agent({ id: 'n2', replica: null })];
    const some = joinProgress(joining, [old, first], 0);
    expect(progressSentence(some, joining)).toMatch(/^1 of 2 connected: one\. Waiting/);
    const all = joinProgress(joining, [old, first, second], 5_000);
    expect(all.kind).toBe('complete');
    expect(progressSentence(all, joining)).toBe('Connected: one, n2.');
  });

  it('counts an agent once it is connected, and none that was revoked', () => {
    const joined = agent({ id: 'n1', health: 'offline' });
    expect(joinProgress({ ...joining, replicas: 1 }, [joined], 0).kind).toBe('waiting');
    expect(joinProgress({ ...joining, replicas: 1 }, [agent({ id: 'n1', health: 'revoked' })], 0).kind).toBe('waiting');
  });

  it('is over with its token, unless its agents have joined already', () => {
    const progress = joinProgress(joining, [old], 1_000);
    expect(progressSentence(progress, joining)).toBe('The join token has ended. Make a new command.');
    const joined = [agent({ id: 'n1', health: 'offline' }), agent({ id: 'n2', health: 'offline' })];
    expect(joinProgress(joining, joined, 1_000).kind).toBe('waiting');
  });

  it('says how long its token is good', () => {
    expect([1_800_000, 61_000, 59_000, 0, -1].map((end) => timeLeft(end, 0))).toEqual([
      'good for 30 min',
      'good for 2 min',
      'good for 59 s',
      'no longer good',
      'no longer good',
    ]);
  });

  it('has as many replicas as a token is made for', () => {
    expect(['1', '16', '0', '17', '', '1.5', '-1', 'x'].map(readReplicas)).toEqual([
      1,
      16,
      null,
      null,
      null,
      null,
      null,
      null,
    ]);
  });
});

describe('an agent', () => {
  it('tells what its guard lets through', () => {
    expect(guardSentence(null)).toBe('Not told yet');
    expect(guardSentence({ namespaces: [], pod_labels: [] })).toBe('Everything that Kubernetes allows');
    expect(guardSentence({ namespaces: ['shop-*', 'web'], pod_labels: ['a=b', 'c'] })).toBe(
      'Only namespaces shop-*, web; only pods with a=b and c',
    );
  });

  it('stands before those that were revoked', () => {
    const agents = [
      agent({ id: '1', health: 'revoked', enrolled_at: 1 }),
      agent({ id: '3', enrolled_at: 3 }),
      agent({ id: '2', health: 'offline', enrolled_at: 2 }),
    ];
    expect(inOrder(agents).map(({ id }) => id)).toEqual(['2', '3', '1']);
  });

  it('has a certificate that may have ended', () => {
    expect(certificateState(agent({ certificate_expires_at: 5 }), 4)).toBe('good');
    expect(certificateState(agent({ certificate_expires_at: 5 }), 5)).toBe('expired');
  });
});

describe('a cluster', () => {
  it('is revoked only by its name', () => {
    expect(isConfirmed('berlin ', 'berlin')).toBe(true);
    for (const typed of ['', 'Berlin', 'berli']) expect(isConfirmed(typed, 'berlin')).toBe(false);
  });

  it('opens terminals by somebody’s rights', () => {
    expect(parseIdentity({ mode: 'agent' }, '$')).toEqual({ mode: 'agent' });
    const impersonate = { mode: 'impersonate', user_prefix: 'corp:' };
    expect(parseIdentity(impersonate, '$')).toEqual(impersonate);
    expect(() => parseIdentity({ mode: 'other' }, '$')).toThrow();
    expect(userName('corp:', 'a@b.example')).toBe('corp:a@b.example');
  });
});

describe('the API of clusters', () => {
  it('sends what the relay takes', async () => {
    const calls: unknown[] = [];
    const api = new Api((input, init) => {
      const body = typeof init?.body === 'string' ? (JSON.parse(init.body) as unknown) : null;
      calls.push([init?.method, input, body]);
      return Promise.resolve(new Response(null, { status: 204 }));
    });
    await api.createPrivateCluster('berlin', { env: 'prod' });
    await api.createPublicCluster('paris', {}, { kubeconfig: 'k' });
    await api.createJoinToken('c/1', 3);
    await api.revokeAgent('c1', 'a/1');
    await api.testCluster('c1');
    await api.setKubernetesIdentity('c1', { mode: 'agent' });
    expect(calls).toEqual([
      ['POST', '/api/v1/clusters', { type: 'private', name: 'berlin', labels: { env: 'prod' } }],
      ['POST', '/api/v1/clusters', { type: 'public', name: 'paris', labels: {}, kubeconfig: 'k' }],
      ['POST', '/api/v1/clusters/c%2F1/join-tokens', { replicas: 3 }],
      ['DELETE', '/api/v1/clusters/c1/agents/a%2F1', null],
      ['POST', '/api/v1/clusters/c1/connection-tests', null],
      ['PUT', '/api/v1/clusters/c1/kubernetes-identity', { mode: 'agent' }],
    ]);
  });
});

describe('the session limits of a cluster', () => {
  const SILENT = { session_max_seconds: null, idle_after_seconds: null, idle_close_seconds: null };

  it('are read as people write them, and left to the organisation where nothing is written', () => {
    const draft = draftOfLimits({ ...SILENT, session_max_seconds: 5_400 });
    expect(draft).toEqual({ session_max_seconds: '1h 30m', idle_after_seconds: '', idle_close_seconds: '' });
    expect(readLimits({ ...draft, idle_close_seconds: ' 15m ' })).toEqual({
      ok: true,
      limits: { session_max_seconds: 5_400, idle_after_seconds: null, idle_close_seconds: 900 },
    });
  });

  it('say which of them makes no sense', () => {
    const read = readLimits({ ...draftOfLimits(SILENT), idle_after_seconds: 'soon' });
    expect(read).toEqual({ ok: false, problems: { idle_after_seconds: DURATION_HINT } });
  });
});

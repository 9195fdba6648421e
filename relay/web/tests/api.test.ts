import { describe, expect, it } from 'vitest';
import { Api, terminalUrl } from '../src/lib/api';

const SESSION = {
  id: 's1',
  cluster: { id: 'c1', name: 'prod', type: 'private' },
  namespace: 'shop',
  pod: 'web',
  container: 'app',
  user: { id: 'u1', email: 'a@b.example' },
  state: 'live',
  status: 'active',
  client_ip: '192.0.2.1',
  user_agent: '',
  started_at: '2026-01-02T03:04:05.678Z',
  last_activity_at: '2026-01-02T03:04:05.678Z',
  idle: false,
  expires_at: '2026-01-02T11:04:05.678Z',
  exit_status: null,
  may_observe: false,
  ended_at: null,
  end: null,
};

const END = { cause: 'expired', message: 'Time is up.', exit_code: null, cleanup: 'confirmed' };

describe('the API', () => {
  it('reads an answer into types', async () => {
    const { api } = relay(() => json(201, { session: SESSION, ticket: 'plk_x' }));
    const result = await api.openSession(
      { cluster: 'c1', namespace: 'shop', pod: 'web', container: null },
      { columns: 80, rows: 24 },
    );
    expect(result.ok && result.value.session.started_at).toBe(Date.parse('2026-01-02T03:04:05.678Z'));
  });

  it('sends a container only where one was chosen', async () => {
    const { api, calls } = relay(() => json(201, { session: SESSION, ticket: 'plk_x' }));
    const target = { cluster: 'c1', namespace: 'shop', pod: 'web' };
    await api.openSession({ ...target, container: null }, { columns: 80, rows: 24 });
    await api.openSession({ ...target, container: 'app' }, { columns: 80, rows: 24 });
    expect(calls.map((call) => call.body)).toEqual([
      { ...target, columns: 80, rows: 24 },
      { ...target, container: 'app', columns: 80, rows: 24 },
    ]);
  });

  it('says why only where somebody did', async () => {
    const { api, calls } = relay(() => json(201, { session: SESSION, ticket: 'plk_x' }));
    const target = { cluster: 'c1', namespace: 'shop', pod: 'web', container: null };
    await api.openSession(target, { columns: 80, rows: 24 }, { reason: 'Repair' });
    expect(calls[0]?.body).toMatchObject({ reason: 'Repair' });
  });

  it('asks for a debug container only where an image was chosen', async () => {
    const { api, calls } = relay(() => json(201, { session: SESSION, ticket: 'plk_x' }));
    const target = { cluster: 'c1', namespace: 'shop', pod: 'web', container: 'app' };
    await api.openSession(target, { columns: 80, rows: 24 }, { debugImage: 'busybox:1.36' });
    expect(calls.map((call) => call.body)).toEqual([
      { ...target, columns: 80, rows: 24, debug: { image: 'busybox:1.36' } },
    ]);
  });

  it('tells which images debug containers may have', async () => {
    const { api, calls } = relay(() => json(200, { images: ['busybox:1.36'] }));
    expect(await api.debugImages()).toEqual({ ok: true, value: { images: ['busybox:1.36'] } });
    expect(calls[0]?.path).toBe('/api/v1/debug-images');
  });

  it('gives a problem’s own sentence and name', async () => {
    const { api } = relay(() => problem(409, 'container_required', 'The pod has several containers. Choose one.'));
    expect(await api.me()).toEqual({
      ok: false,
      error: { slug: 'container_required', status: 409, sentence: 'The pod has several containers. Choose one.' },
    });
  });

  it('makes do with the status where no problem document came', async () => {
    const { api } = relay(() => new Response('<html>Bad gateway</html>', { status: 502 }));
    const result = await api.me();
    expect(!result.ok && result.error).toMatchObject({ slug: 'unexpected', status: 502 });
  });

  it('says so when the relay cannot be reached', async () => {
    const { api } = relay(() => {
      throw new TypeError('fetch failed');
    });
    const result = await api.me();
    expect(!result.ok && result.error).toMatchObject({ slug: 'network', status: 0 });
  });

  it('refuses an answer of another shape', async () => {
    const { api } = relay(() => json(200, { user: 'somebody' }));
    const result = await api.me();
    expect(!result.ok && result.error.slug).toBe('malformed_answer');
  });

  it('walks through all pages of a list', async () => {
    const { api, calls } = relay((call) =>
      json(200, { items: [SESSION], next_cursor: call.path.includes('cursor=') ? null : 'a/b' }),
    );
    const result = await api.liveSessions();
    expect(result.ok && result.value).toHaveLength(2);
    expect(calls.map((call) => call.path)).toEqual([
      '/api/v1/sessions?state=live',
      '/api/v1/sessions?state=live&cursor=a%2Fb',
    ]);
  });

  it('cannot be led to another path by an id', async () => {
    const { api, calls } = relay(() => new Response(null, { status: 202 }));
    await api.endSession('../clusters?x#y');
    expect(calls[0]?.path).toBe('/api/v1/sessions/..%2Fclusters%3Fx%23y');
  });

  it('tells how a session ended when there is no ticket for it any more', async () => {
    const { api } = relay((call) =>
      call.method === 'POST'
        ? problem(410, 'session_ended', 'It has ended.')
        : json(200, { ...SESSION, state: 'ended', end: END }),
    );
    expect(await api.ticket('s1')).toEqual({ kind: 'ended', ending: END });
  });

  it.each([
    [401, { kind: 'unauthenticated' }],
    [403, { kind: 'refused', sentence: 'A sentence.' }],
    [404, { kind: 'refused', sentence: 'A sentence.' }],
    [429, { kind: 'unavailable' }],
    [503, { kind: 'unavailable' }],
  ])('takes status %i on a ticket for what it is', async (status, outcome) => {
    const { api } = relay(() => problem(status, 'some', 'A sentence.'));
    expect(await api.ticket('s1')).toEqual(outcome);
  });

  it('finds the terminal where the page came from', () => {
    expect(terminalUrl('s1', 'https://relay.example/c/x')).toBe('wss://relay.example/api/v1/sessions/s1/terminal');
    expect(terminalUrl('s1', 'http://127.0.0.1:8080/')).toBe('ws://127.0.0.1:8080/api/v1/sessions/s1/terminal');
  });
});

interface Call {
  method: string;
  path: string;
  body: unknown;
}

function relay(answer: (call: Call) => Response) {
  const calls: Call[] = [];
  const api = new Api((input, init) => {
    const body = typeof init?.body === 'string' ? (JSON.parse(init.body) as unknown) : null;
    const call = { method: init?.method ?? 'GET', path: input as string, body };
    calls.push(call);
    return Promise.resolve().then(() => answer(call));
  });
  return { api, calls };
}

const json = (status: number, value: unknown) => new Response(JSON.stringify(value), { status });

const problem = (status: number, slug: string, detail: string) =>
  json(status, { type: `urn:podlatch:problem:${slug}`, title: 'A title', status, detail });

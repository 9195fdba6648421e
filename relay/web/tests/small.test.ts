import { describe, expect, it } from 'vitest';
import { NO_QUESTION } from '../src/lib/access/explanation';
import { formatAge } from '../src/lib/age';
import { ACCESS, ACCOUNT, areaOf, isWithin, mayChangeSettings, maySeeSettings, SETTINGS } from '../src/lib/areas';
import { connectionStatus, endingDetails, secondsUntil } from '../src/lib/connection';
import { ALL_EVENTS, ALL_SESSIONS } from '../src/lib/filters';
import { preparePaste } from '../src/lib/paste';
import { parseRoute, routePath, type Route } from '../src/lib/route';
import { DEFAULT_SETTINGS, readSettings } from '../src/lib/settings';
import { endOfLogin } from '../src/lib/sign-in';
import { podTone } from '../src/lib/tone';

describe('an address', () => {
  const place = { cluster: 'c1', namespace: 'shop', pod: 'web-1.x', container: 'app' };

  it.each<[string, Route]>([
    ['/', { page: 'clusters' }],
    ['/sign-in', { page: 'sign-in' }],
    ['/join', { page: 'join' }],
    ['/settings/people', { page: 'people' }],
    ['/settings/groups', { page: 'groups' }],
    ['/settings/groups/g1', { page: 'group', group: 'g1' }],
    ['/account/logins', { page: 'own-logins' }],
    ['/account/tokens', { page: 'own-tokens' }],
    ['/account/sign-in', { page: 'own-sign-in' }],
    ['/settings/sign-in', { page: 'sign-in-settings' }],
    ['/settings/clusters', { page: 'clusters-settings' }],
    ['/settings/clusters/c1', { page: 'cluster-settings', id: 'c1' }],
    ['/clusters/new', { page: 'add-cluster' }],
    ['/settings/access-rules', { page: 'access-rules' }],
    ['/settings/access-rules/new', { page: 'access-rule', rule: null }],
    ['/settings/access-rules/r1', { page: 'access-rule', rule: 'r1' }],
    ['/access/requests', { page: 'access-requests' }],
    ['/access', { page: 'access', question: NO_QUESTION }],
    ['/c/c1', { page: 'namespaces', cluster: 'c1' }],
    ['/c/c1/n/shop', { page: 'namespace', cluster: 'c1', namespace: 'shop' }],
    ['/c/c1/n/shop/p/web-1.x/app', { page: 'terminal', ...place, session: null }],
    ['/sessions/s1/watch', { page: 'watch', session: 's1' }],
    ['/c/c1/n/shop/p/web-1.x/app/s/s1', { page: 'terminal', ...place, session: 's1' }],
    ['/sessions', { page: 'sessions', cluster: null, filter: ALL_SESSIONS }],
    ['/sessions/s1', { page: 'session', session: 's1' }],
    ['/sessions/s1/replay', { page: 'replay', session: 's1' }],
    ['/audit', { page: 'audit', cluster: null, filter: ALL_EVENTS }],
    ['/c/c1/terminal/sessions', { page: 'sessions', cluster: 'c1', filter: ALL_SESSIONS }],
    ['/c/c1/terminal/audit', { page: 'audit', cluster: 'c1', filter: ALL_EVENTS }],
  ])('%s names a page, and the page names it', (path, route) => {
    expect(parseRoute(path)).toEqual(route);
    expect(routePath(route)).toBe(path);
  });

  it.each([
    '/c',
    '/x/y',
    '/settings/clusters/c1/x',
    '/sessions/s1/x',
    '/sessions/s1/replay/x',
    '/audit/x',
    '/access/x',
    '/settings/access-rules/r1/x',
    '/settings/x',
    '/settings/people/u1',
    '/settings/groups/g1/x',
    '/account/x',
    '/account/logins/x',
    '/c/c1/terminal/x',
    '/c/c1/n',
    '/c/c1/p/x',
    '/c/c1/n/shop/p/web',
    '/c/c1/n/shop/p/web/app/s',
    '/%zz',
  ])('%s names none', (path) => {
    expect(parseRoute(path)).toEqual({ page: 'not-found' });
  });

  it.each<[string, Route]>([
    [
      '/sessions?user=u1&status=expired&last=24h',
      {
        page: 'sessions',
        cluster: null,
        filter: { ...ALL_SESSIONS, user: 'u1', status: 'expired', time: { kind: 'last', preset: '24h' } },
      },
    ],
    [
      '/access?cluster=c1&pod=web&action=debug',
      { page: 'access', question: { ...NO_QUESTION, cluster: 'c1', pod: 'web', action: 'debug' } },
    ],
    [
      '/c/c1/terminal/audit?pod=web&action=connect&text=rm+-rf+%26',
      { page: 'audit', cluster: 'c1', filter: { ...ALL_EVENTS, pod: 'web', action: 'connect', text: 'rm -rf &' } },
    ],
  ])('%s says what a list is narrowed to', (address, route) => {
    const url = new URL(address, 'http://x');
    expect(parseRoute(url.pathname, url.search)).toEqual(route);
    expect(routePath(route)).toBe(address);
  });

  it('says a cluster’s sessions by its terminal alone', () => {
    expect(parseRoute('/c/c1/terminal')).toEqual(parseRoute('/c/c1/terminal/sessions'));
  });

  it.each([SETTINGS, ACCOUNT])('of an area alone is its first page: $title', ({ pages }) => {
    const [first] = pages;
    const path = first === undefined ? '' : routePath(first.to);
    expect(routePath(parseRoute(path.slice(0, path.lastIndexOf('/'))))).toBe(path);
  });

  it('survives names with slashes and spaces', () => {
    const route: Route = { page: 'namespace', cluster: 'a/b', namespace: 'c d' };
    expect(parseRoute(routePath(route))).toEqual(route);
  });
});

describe('a login that ended', () => {
  it('says why; whoever had none is told nothing', () => {
    const suspended = { status: 401, sentence: 'You are suspended in this organisation. Ask one of its owners.' };
    const nobody = { status: 401, sentence: 'You are not signed in, or your login has ended. Sign in again.' };
    expect(endOfLogin(suspended)).toBe(suspended.sentence);
    expect(endOfLogin(nobody)).toBeNull();
    expect(endOfLogin({ status: 0, sentence: 'The relay cannot be reached.' })).toBeNull();
  });
});

describe('an area', () => {
  it('has its own pages, and no other', () => {
    for (const area of [SETTINGS, ACCESS, ACCOUNT]) {
      for (const { to } of area.pages) expect(areaOf(to)).toBe(area);
    }
    expect(areaOf({ page: 'clusters' })).toBeNull();
  });

  it('has what belongs to its pages', () => {
    const page = { text: 'Sign-in', to: { page: 'sign-in-settings' }, also: ['session'] } as const;
    expect(isWithin({ page: 'session', session: 's1' }, page)).toBe(true);
    expect(isWithin({ page: 'clusters' }, page)).toBe(false);
  });

  it('of the settings is for administrators', () => {
    const roles = ['owner', 'admin', 'auditor', 'member', 'newer'];
    expect(roles.filter(maySeeSettings)).toEqual(['owner', 'admin', 'auditor']);
    expect(roles.filter(mayChangeSettings)).toEqual(['owner', 'admin']);
  });
});

describe('an age', () => {
  it.each([
    [-5, '0s'],
    [119_000, '119s'],
    [120_000, '2m'],
    [125_000, '2m5s'],
    [660_000, '11m'],
    [3 * 3_600_000 + 60_000, '3h1m'],
    [30 * 3_600_000, '30h'],
    [3 * 86_400_000, '3d'],
    [3 * 86_400_000 + 3_600_000, '3d1h'],
    [100 * 86_400_000, '100d'],
    [800 * 86_400_000, '2y70d'],
    [9 * 365 * 86_400_000, '9y'],
  ])('of %i ms reads %s, as kubectl has it', (milliseconds, text) => {
    expect(formatAge(milliseconds)).toBe(text);
  });
});

describe('a paste', () => {
  it('cannot end a bracketed paste, nor smuggle control characters in', () => {
    expect(preparePaste('a\x1b[201~\x03rm\x7f\x9b').text).toBe('a[201~rm');
  });

  it('keeps tabs, line ends and every language', () => {
    expect(preparePaste('\tä€漢🎉\r\nb\n')).toEqual({ text: '\tä€漢🎉\r\nb\n', lines: 2 });
  });

  it('of one line with its line end is one line', () => {
    expect(preparePaste('ls\n').lines).toBe(1);
  });
});

describe('settings', () => {
  it('fall back to the defaults where they cannot be read', () => {
    for (const text of [null, '', '{}', '{"theme":"pink"}']) expect(readSettings(text)).toEqual(DEFAULT_SETTINGS);
  });

  it('come back as they were kept, within bounds', () => {
    const kept = { theme: 'dark', terminal: { ...DEFAULT_SETTINGS.terminal, renderer: 'dom', fontSize: 400 } };
    expect(readSettings(JSON.stringify(kept))).toEqual({ ...kept, terminal: { ...kept.terminal, fontSize: 32 } });
  });

  it('keep what a browser has kept since before there was a choice of shells', () => {
    const older = { renderer: 'dom', fontSize: 14, screenReader: 'off', confirmPaste: 'on' };
    expect(readSettings(JSON.stringify({ theme: 'dark', terminal: older }))).toEqual({
      theme: 'dark',
      terminal: { ...older, shell: 'auto' },
    });
  });
});

describe('words and colours', () => {
  it('show bad news of a pod as such, known or not', () => {
    expect(['Running', 'Completed', 'Pending', 'Init:0/2', 'CrashLoopBackOff', 'Whatever'].map(podTone)).toEqual([
      'good',
      'neutral',
      'warning',
      'warning',
      'danger',
      'danger',
    ]);
  });

  it('name every state of the connection', () => {
    expect(connectionStatus({ kind: 'live', agent: 'answering' }).text).toBe('Connected');
    expect(connectionStatus({ kind: 'live', agent: 'silent' }).tone).toBe('warning');
    expect(connectionStatus({ kind: 'reconnecting', retryAt: 1, network: 'offline' }).text).toBe('Offline');
  });

  it('never count below zero', () => {
    expect([secondsUntil(5_000, 3_500), secondsUntil(5_000, 9_000)]).toEqual([2, 0]);
  });

  it('say what an end left behind', () => {
    const ending = { cause: 'closed_by_user', message: 'Closed.', exit_code: 137, cleanup: 'unconfirmed' } as const;
    expect(endingDetails(ending).join(' ')).toMatch(/^Exit status 137\. .*could not be confirmed/);
  });
});

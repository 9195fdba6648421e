import { describe, expect, it } from 'vitest';
import { formatLeft, lifeAnnouncement, lifeNotices } from '../src/lib/life';
import { itemsOf, nextCursor, refreshed } from '../src/lib/pages';
import {
  mayEnd,
  mayWatch,
  parseSession,
  sessionDuration,
  sessionStatus,
  sessionTarget,
  terminalOf,
} from '../src/lib/session';

const LIVE = parseSession(
  {
    id: 's1',
    cluster: { id: 'c1', name: 'prod', type: 'private' },
    namespace: 'shop',
    pod: 'web',
    container: 'app',
    user: { id: 'u1', email: 'ada@example.com' },
    state: 'live',
    status: 'active',
    client_ip: '192.0.2.1',
    user_agent: 'Firefox',
    started_at: '2026-01-02T03:00:00Z',
    last_activity_at: '2026-01-02T03:01:00Z',
    idle: false,
    expires_at: '2026-01-02T11:00:00Z',
    ended_at: null,
    end: null,
    exit_status: null,
    may_observe: true,
  },
  '$',
);
const ENDED = { ...LIVE, state: 'ended', status: 'closed', ended_at: LIVE.started_at + 60_000 } as const;

describe('a session', () => {
  it.each([
    ['Active', LIVE],
    ['Idle', { ...LIVE, idle: true }],
    ['Opening', { ...LIVE, state: 'opening' as const }],
    ['Expired', { ...ENDED, status: 'expired' as const }],
    // Its time is up, and its end is on the way.
    ['Expired', { ...LIVE, status: 'expired' as const }],
    ['Closed', ENDED],
  ])('is %s', (text, session) => {
    expect(sessionStatus(session).text).toBe(text);
  });

  it('lasts until now, or until it ended', () => {
    expect(sessionDuration(LIVE, LIVE.started_at + 90_000)).toBe('90s');
    expect(sessionDuration(ENDED, LIVE.started_at + 90_000)).toBe('60s');
  });

  it('names its container once that is known', () => {
    expect(sessionTarget(LIVE)).toBe('web / app');
    expect(sessionTarget({ ...LIVE, container: null })).toBe('web');
  });

  it('is offered to be watched by others, where the relay says that they may', () => {
    const other = { id: 'u2', role: 'member' };
    expect(mayWatch(LIVE, other)).toBe(true);
    expect(mayWatch(LIVE, { ...other, id: 'u1' })).toBe(false);
    expect(mayWatch({ ...LIVE, may_observe: false }, other)).toBe(false);
  });

  it('leads its owner to the terminal while it goes on', () => {
    const me = { id: 'u1', role: 'member' };
    expect(terminalOf(LIVE, me)).toMatchObject({ cluster: 'c1', pod: 'web', session: 's1' });
    expect(terminalOf(LIVE, { ...me, id: 'u2' })).toBeNull();
    expect(terminalOf(ENDED, me)).toBeNull();
    expect(terminalOf({ ...LIVE, status: 'expired' }, me)).toBeNull();
    expect(terminalOf({ ...LIVE, container: null }, me)).toBeNull();
  });

  it.each([
    ['u1', 'member', true],
    ['u2', 'member', false],
    ['u2', 'auditor', false],
    ['u2', 'admin', true],
    ['u2', 'owner', true],
  ])('may be ended by %s, %s: %s', (id, role, may) => {
    expect(mayEnd(LIVE, { id, role })).toBe(may);
    expect(mayEnd(ENDED, { id, role })).toBe(false);
  });
});

describe('the life of a session', () => {
  const life = { expires_in_ms: 8 * 3_600_000, idle: false, idle_since_ms: null, idle_closes_in_ms: null };
  const heard = (change: Partial<typeof life> | object) => ({ life: { ...life, ...change }, heardAt: 1_000 });
  const texts = (change: object, after = 0) => lifeNotices(heard(change), 1_000 + after).map(({ text }) => text);

  it('is not spoken of while there is time', () => {
    expect(texts({})).toEqual([]);
    expect(texts({ expires_in_ms: 30 * 60_000 + 1 })).toEqual([]);
    expect(lifeAnnouncement(heard({}), 1_000)).toBe('');
  });

  it('is counted down from 30 minutes, more plainly at 5 and 1', () => {
    expect(texts({}, 8 * 3_600_000 - 30 * 60_000)).toEqual(['Ends in 30:00']);
    const tone = (left: number) => lifeNotices(heard({ expires_in_ms: left }), 1_000)[0]?.tone;
    expect([1_800_000, 300_001, 300_000, 60_001, 60_000, 0].map(tone)).toEqual([
      'neutral',
      'neutral',
      'warning',
      'warning',
      'danger',
      'danger',
    ]);
    expect(texts({ expires_in_ms: 5_000 }, 60_000)).toEqual(['Ends in 0:00']);
  });

  it('is read out at its steps only', () => {
    const said = (left: number) => lifeAnnouncement(heard({ expires_in_ms: left }), 1_000);
    expect(said(1_800_001)).toBe('');
    expect(said(1_799_000)).toBe(said(301_000));
    expect(said(299_000)).toContain('5 minutes');
    expect(said(59_000)).toBe('This session ends in less than one minute.');
  });

  it('says that nobody types, and when that closes it', () => {
    expect(texts({ idle: true })).toEqual(['Idle']);
    expect(texts({ idle: true, idle_closes_in_ms: 90_000 }, 30_000)).toEqual(['Idle: closes in 1:00']);
    expect(lifeAnnouncement(heard({ idle: true, idle_closes_in_ms: 90_000 }), 1_000)).toBe(
      'This session is idle. It is closed in less than 5 minutes.',
    );
    // Typing puts that end off.
    expect(texts({ idle: false, idle_closes_in_ms: 90_000 })).toEqual([]);
  });

  it.each([
    [0, '0:00'],
    [-5, '0:00'],
    [59_001, '1:00'],
    [61_000, '1:01'],
    [3_600_000, '1h 00m'],
    [29_220_000, '8h 07m'],
  ])('of %i ms reads %s', (left, text) => {
    expect(formatLeft(left)).toBe(text);
  });
});

describe('a long list', () => {
  const page = (items: string, next_cursor: string | null) => ({ items: Array.from(items), next_cursor });

  it('shows an item once that moved between pages', () => {
    expect(itemsOf([page('ab', 'x'), page('bc', null)], (item) => item)).toEqual(['a', 'b', 'c']);
  });

  it('goes on after its last page', () => {
    expect(nextCursor([page('a', 'x'), page('b', 'y')])).toBe('y');
    expect(nextCursor([page('a', null)])).toBeNull();
    expect(nextCursor([])).toBeNull();
  });

  it('keeps its later pages when its first ones are loaded anew, unless there is no more behind them', () => {
    const pages = [page('a', 'x'), page('b', 'y'), page('c', null)];
    expect(refreshed(pages, [page('na', 'z')])).toEqual([page('na', 'z'), page('b', 'y'), page('c', null)]);
    expect(refreshed(pages, [page('n', null)])).toEqual([page('n', null)]);
  });
});

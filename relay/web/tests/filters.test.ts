import { describe, expect, it } from 'vitest';
import {
  ALL_EVENTS,
  ALL_SESSIONS,
  apiQuery,
  isNarrowed,
  readAuditFilter,
  readSessionFilter,
  writeFilter,
} from '../src/lib/filters';
import {
  ANY_TIME,
  fromLocalInput,
  rangeProblem,
  readTimeRange,
  toLocalInput,
  type TimeRange,
} from '../src/lib/time-range';

const NOW = Date.parse('2026-05-01T12:00:00Z');
const FROM = Date.parse('2026-04-01T00:00:00Z');

describe('a filter', () => {
  it('comes back from an address as it went in', () => {
    const sessions = {
      ...ALL_SESSIONS,
      cluster: 'c 1',
      status: 'closed',
      time: { kind: 'last', preset: '7d' },
    } as const;
    expect(readSessionFilter(new URLSearchParams(writeFilter(sessions)))).toEqual(sessions);
    const events = {
      ...ALL_EVENTS,
      text: 'a&b=c',
      namespace: 'shop',
      session: 's1',
      time: { kind: 'between', from: FROM, to: null },
    } as const;
    expect(readAuditFilter(new URLSearchParams(writeFilter(events)))).toEqual(events);
  });

  it('leaves out what makes no sense in an address', () => {
    expect(readSessionFilter(new URLSearchParams('status=gone&user=%20&last=3y&from=x'))).toEqual(ALL_SESSIONS);
  });

  it('is asked for with exact times, and for the page’s own cluster', () => {
    const filter = { ...ALL_EVENTS, pod: 'web', time: { kind: 'last', preset: '1h' } } as const;
    expect(apiQuery(filter, 'c1', NOW).toString()).toBe('pod=web&cluster=c1&from=2026-05-01T11%3A00%3A00.000Z');
    expect(apiQuery(ALL_EVENTS, null, NOW).toString()).toBe('');
  });

  it('knows whether it leaves anything out', () => {
    expect(isNarrowed(ALL_EVENTS)).toBe(false);
    expect(isNarrowed({ ...ALL_EVENTS, time: { kind: 'last', preset: '1h' } })).toBe(true);
  });
});

describe('a time range', () => {
  it.each<[string, TimeRange]>([
    ['', ANY_TIME],
    ['last=24h', { kind: 'last', preset: '24h' }],
    ['last=toString', ANY_TIME],
    ['from=2026-04-01T00:00:00Z', { kind: 'between', from: FROM, to: null }],
    ['to=2026-04-01T00:00:00Z&from=nonsense', { kind: 'between', from: null, to: FROM }],
  ])('is read from “%s”', (query, range) => {
    expect(readTimeRange(new URLSearchParams(query))).toEqual(range);
  });

  it('that runs backwards is told before anybody is asked', () => {
    expect(rangeProblem({ kind: 'between', from: NOW, to: FROM })).toContain('before the beginning');
    expect(rangeProblem({ kind: 'between', from: FROM, to: NOW })).toBeNull();
    expect(rangeProblem({ kind: 'between', from: NOW, to: null })).toBeNull();
  });

  it('is edited in local time, to the second', () => {
    expect(fromLocalInput(toLocalInput(NOW + 5_000))).toBe(NOW + 5_000);
    expect(toLocalInput(null)).toBe('');
    expect(fromLocalInput('soon')).toBeNull();
  });
});

import { describe, expect, it } from 'vitest';
import type { AuditEvent } from '../src/lib/audit';
import { AuditLog, MAX_FRESH, MAX_ROWS } from '../src/lib/audit-log';

const event = (position: number): AuditEvent => ({
  id: `e${position}`,
  position,
  at: position,
  action: 'connect',
  outcome: 'success',
  actor: { kind: 'user', id: 'u1', name: 'ada@example.com' },
  user: null,
  cluster: null,
  namespace: null,
  pod: null,
  container: null,
  session: null,
  sequence: null,
  command: null,
  client_ip: null,
  user_agent: null,
  details: null,
});

/** Positions from the first down to the last, both included. */
const down = (first: number, last: number) => Array.from({ length: first - last + 1 }, (_, index) => first - index);
const events = (...positions: number[]) => positions.map(event);
const page = (positions: number[], next_cursor: string | null = null) => ({ items: events(...positions), next_cursor });
const shown = (log: AuditLog) => log.rows.map(({ position }) => position);

describe('the audit log of a page', () => {
  it('shows pages of the past one after the other, each event once', () => {
    const log = new AuditLog();
    log.newest(page([9, 8, 7], 'a'));
    expect(log.olderCursor).toBe('a');
    log.older(page([7, 6, 5], 'b'));
    log.older(page([4]));
    expect(shown(log)).toEqual([9, 8, 7, 6, 5, 4]);
    expect(log.olderCursor).toBeNull();
  });

  it('shows what arrives at once while it follows, whatever its order, and never twice', () => {
    const log = new AuditLog();
    log.newest(page([3]));
    log.arrived(events(4, 5));
    log.arrived(events(5, 4, 6));
    expect(shown(log)).toEqual([6, 5, 4, 3]);
  });

  it('keeps what arrives before the first page does', () => {
    const log = new AuditLog();
    log.arrived(events(5, 6));
    expect(log.rows).toEqual([]);
    log.newest(page([5, 4], 'a'));
    expect(shown(log)).toEqual([6, 5, 4]);
  });

  it('counts what arrives while somebody reads, and shows it when asked', () => {
    const log = new AuditLog();
    log.newest(page([3]));
    log.hold();
    log.arrived(events(4));
    log.arrived(events(5, 6));
    expect([log.freshCount, shown(log)]).toEqual([3, [3]]);
    expect(log.follow()).toBe('fine');
    expect([log.freshCount, shown(log)]).toEqual([0, [6, 5, 4, 3]]);
  });

  it('fills in what was missed while the stream was away', () => {
    const log = new AuditLog();
    log.newest(page([3, 2], 'a'));
    log.older(page([1]));
    log.newest(page([5, 4, 3], 'b'));
    expect(shown(log)).toEqual([5, 4, 3, 2, 1]);
    expect(log.olderCursor).toBeNull();
  });

  it('begins anew where more was missed than a page holds', () => {
    const log = new AuditLog();
    log.newest(page([3, 2], 'a'));
    log.newest(page([30, 29], 'c'));
    expect(shown(log)).toEqual([30, 29]);
    expect(log.olderCursor).toBe('c');
  });

  it('does not tear away what somebody reads, and asks for all anew when they have read it', () => {
    const log = new AuditLog();
    log.newest(page([3, 2], 'a'));
    log.hold();
    log.newest(page([30, 29], 'c'));
    expect([log.freshCount, shown(log)]).toEqual([2, [3, 2]]);
    expect(log.follow()).toBe('reload');
  });

  it('keeps a bounded number of new events, then asks for all anew', () => {
    const log = new AuditLog();
    log.newest(page([1]));
    log.hold();
    for (let position = 2; position < 3 * MAX_FRESH; position += 100)
      log.arrived(events(...down(position + 99, position)));
    expect(log.freshCount).toBe(MAX_FRESH);
    expect(log.follow()).toBe('reload');
  });

  it('keeps a bounded number of rows: beyond them the past is closed, and the present begins anew', () => {
    const log = new AuditLog();
    log.newest(page([2 * MAX_ROWS], 'a'));
    log.older(page(down(2 * MAX_ROWS - 1, MAX_ROWS + 1), 'b'));
    expect([log.isFull, log.olderCursor]).toEqual([true, null]);
    expect(log.arrived(events(2 * MAX_ROWS + 1))).toBe('reload');
  });
});

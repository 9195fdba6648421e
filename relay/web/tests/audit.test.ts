import { describe, expect, it } from 'vitest';
import {
  actionText,
  actorText,
  detailsText,
  exportUrl,
  headline,
  outcomePill,
  parseAuditEvent,
  placeText,
} from '../src/lib/audit';
import { Api } from '../src/lib/api';
import { rowWindow } from '../src/lib/row-window';
import { visibleJson, visibleParts, visibleText } from '../src/lib/visible-text';

const EVENT = {
  id: 'e1',
  position: 7,
  at: '2026-01-02T03:04:05.678Z',
  action: 'command_executed',
  outcome: 'success',
  actor: { kind: 'user', id: 'u1', name: 'ada@example.com' },
  user: { id: 'u1', name: 'ada@example.com' },
  cluster: { id: 'c1', name: 'prod' },
  namespace: 'shop',
  pod: 'web',
  container: 'app',
  session: 's1',
  sequence: 3,
  command: 'ls',
  client_ip: '192.0.2.1',
  user_agent: 'curl',
  details: { exit_code: 0, source: 'marks', cwd: null, nested: {} },
};

describe('an audit event', () => {
  const event = parseAuditEvent(EVENT, '$');

  it('is said in words', () => {
    expect(actionText(event.action)).toBe('Command');
    expect(actionText('agent_revoked')).toBe('Agent revoked');
    expect(actorText(event.actor)).toBe('ada@example.com');
    expect(actorText({ kind: 'operator', id: null, name: null })).toBe('operator');
    expect(placeText(event)).toBe('shop / web / app');
    expect(detailsText(event)).toBe('exit code: 0 · source: marks');
  });

  it('says its outcome where its name does not', () => {
    expect(headline(event)).toBe('Command');
    expect(headline({ action: 'session_refused', outcome: 'refused' })).toBe('Session refused');
    expect(headline({ action: 'audit_export', outcome: 'refused' })).toBe('Audit log exported: refused');
    expect(headline({ action: 'connect', outcome: 'failed' })).toBe('Terminal connected: failed');
    expect(outcomePill('success').tone).toBe('good');
  });

  it('may be of nobody, nowhere', () => {
    const nothing = {
      user: null,
      cluster: null,
      namespace: null,
      session: null,
      sequence: null,
      command: null,
      details: null,
    };
    expect(detailsText(parseAuditEvent({ ...EVENT, ...nothing }, '$'))).toBe('');
  });

  it('is refused where it has no position', () => {
    expect(() => parseAuditEvent({ ...EVENT, position: -1 }, '$')).toThrow('position');
  });

  it('is asked for by pages, and downloaded by the same filter', async () => {
    const paths: string[] = [];
    const api = new Api((input) => {
      paths.push(input as string);
      return Promise.resolve(new Response(JSON.stringify({ items: [EVENT], next_cursor: 'n' })));
    });
    const query = new URLSearchParams({ pod: 'web' });
    const result = await api.auditEvents(query, 'a/b');
    expect(result.ok && result.value.next_cursor).toBe('n');
    expect(paths).toEqual(['/api/v1/audit-events?pod=web&limit=100&cursor=a%2Fb']);
    expect(exportUrl(query, 'csv')).toBe('/api/v1/audit-events/export?pod=web&format=csv');
    expect(query.toString()).toBe('pod=web');
  });
});

describe('untrusted text', () => {
  it('shows what a terminal would obey', () => {
    expect(visibleText('a\x1b[2Jb\n\x7f\u009b')).toBe('a\\x1b[2Jb\\n\\x7f\\x9b');
  });

  it('shows what a browser would hide or turn around', () => {
    expect(visibleText('rm\u202e fr-\u200b \u2066x\u{e0041}')).toBe('rm\\u{202e} fr-\\u{200b} \\u{2066}x\\u{e0041}');
  });

  it('marks controls and secrets that were left out', () => {
    expect(visibleParts('mysql -p[redacted] \x03')).toEqual([
      { kind: 'text', text: 'mysql -p' },
      { kind: 'redacted', text: '[redacted]' },
      { kind: 'text', text: ' ' },
      { kind: 'control', text: '\\x03' },
    ]);
  });

  it('leaves every script and emoji as it is', () => {
    const text = 'echo „größe“ 日本語 שלום 👩‍💻'.replace('\u200d', '');
    expect(visibleParts(text)).toEqual([{ kind: 'text', text }]);
    expect(visibleParts('')).toEqual([]);
  });

  it('is bounded work', () => {
    expect(visibleText('['.repeat(200_000))).toHaveLength(200_000);
  });

  it('hides nothing in JSON, whose lines stay lines', () => {
    expect(visibleJson({ a: '\x1b\u202e' })).toBe('{\n  "a": "\\u001b\\u{202e}"\n}');
  });
});

describe('a long table', () => {
  const at = (top: number, count = 10_000) => rowWindow({ count, rowHeight: 40, top, height: 800 });

  it('has in the page only what is near the window', () => {
    expect(at(0)).toEqual({ first: 0, end: 32, above: 0, below: (10_000 - 32) * 40 });
    expect(at(40_000)).toEqual({ first: 988, end: 1032, above: 988 * 40, below: (10_000 - 1032) * 40 });
  });

  it('is never drawn beyond its ends, wherever the window is', () => {
    for (const top of [-100_000, -1, 399_999, 10_000_000]) {
      const { first, end, above, below } = at(top);
      expect(first).toBeLessThanOrEqual(end);
      expect(above + (end - first) * 40 + below).toBe(400_000);
    }
    expect(at(0, 0)).toEqual({ first: 0, end: 0, above: 0, below: 0 });
  });
});

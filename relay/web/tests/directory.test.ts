import { describe, expect, it } from 'vitest';
import {
  joinerOf,
  lines,
  mayChangePerson,
  parsePerson,
  peopleOutside,
  personName,
  personStatus,
  rolesToGive,
  roleText,
  type GroupMember,
  type Person,
} from '../src/lib/directory';
import { browserText, methodText, reachesOf } from '../src/lib/logins';

function person(id: string, more: Partial<Person> = {}): Person {
  return {
    user: { id, email: `${id}@example.org`, name: '' },
    role: 'member',
    status: 'active',
    groups: [],
    joined_at: 0,
    last_seen_at: null,
    ...more,
  };
}

describe('a person', () => {
  it('is read as the relay sends one', () => {
    const sent = {
      user: { id: 'u1', email: 'a@b.example', name: 'A' },
      role: 'admin',
      status: 'suspended',
      groups: [{ id: 'g1', name: 'Ops' }],
      joined_at: '1970-01-01T00:00:01Z',
      last_seen_at: null,
    };
    expect(parsePerson(sent, '$')).toEqual({ ...sent, joined_at: 1_000 });
  });

  it('is changed by who may give their role, and never by themselves', () => {
    const owner = person('o', { role: 'owner' });
    const member = person('m');
    const may = (role: string, id = 'x') => [owner, member].map((one) => mayChangePerson({ id, role }, one));
    expect(may('owner')).toEqual([true, true]);
    expect(may('admin')).toEqual([false, true]);
    expect(may('auditor')).toEqual([false, false]);
    expect(may('member')).toEqual([false, false]);
    expect(may('owner', 'm')).toEqual([true, false]);
  });

  it('has a status in words', () => {
    const text = (status: string) => personStatus(person('p', { status })).text;
    expect(['active', 'suspended', 'account_suspended'].map(text)).toEqual([
      'Active',
      'Suspended',
      'Account suspended',
    ]);
  });

  it('is called by the address where there is no name', () => {
    expect(personName({ id: 'u', email: 'a@b.example', name: '' })).toBe('a@b.example');
    expect(personName({ id: 'u', email: 'a@b.example', name: 'Ada' })).toBe('Ada');
  });
});

describe('a role', () => {
  it('is given by whoever may', () => {
    const given = (role: string) => rolesToGive(role).map((choice) => choice.role);
    expect(given('owner')).toEqual(['member', 'auditor', 'admin', 'owner']);
    expect(given('admin')).toEqual(['member', 'auditor', 'admin']);
    expect(given('auditor')).toEqual([]);
  });

  it('that is newer than the console is called by its name', () => {
    expect([roleText('admin'), roleText('watcher')]).toEqual(['Admin', 'watcher']);
  });
});

describe('a group', () => {
  it('is offered those who are not in it, by address', () => {
    const members: GroupMember[] = [{ user: { id: 'b', email: 'b@example.org', name: '' }, source: 'manual' }];
    const outside = peopleOutside([person('c'), person('b'), person('a')], members);
    expect(outside.map(({ user }) => user.id)).toEqual(['a', 'c']);
  });

  it('has Kubernetes groups as one writes them: one a line, each once', () => {
    expect(lines(' shop admins \n\nviewers, all\nshop admins')).toEqual(['shop admins', 'viewers, all']);
  });
});

describe('whoever opens an invitation', () => {
  it.each([
    [null, 'new'],
    ['Bob@Example.org', 'themselves'],
    ['ada@example.org', 'somebody else'],
  ])('while %s is signed in is %s', (signedIn, joiner) => {
    expect(joinerOf('bob@example.org', signedIn)).toBe(joiner);
  });
});

describe('a login', () => {
  const CHROME =
    'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36';

  it.each([
    [CHROME, 'Chrome on Linux'],
    [`${CHROME} Edg/140.0.0.0`, 'Edge on Linux'],
    ['Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0', 'Firefox on Windows'],
    ['Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Mobile Safari/604.1', 'Safari on iOS'],
    ['Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) Version/18.0 Safari/605.1.15', 'Safari on macOS'],
    ['<img src=x>', 'A browser'],
    ['', 'A browser'],
  ])('from %s is of %s', (userAgent, text) => {
    expect(browserText(userAgent)).toBe(text);
  });

  it('says how it began, in words where there are some', () => {
    expect(methodText('oidc')).toContain('organisation');
    expect(methodText('constructor')).toBe('constructor');
  });
});

describe('an API token', () => {
  it('is offered no more than its person may', () => {
    const offered = (role: string) => reachesOf(role).map(({ value }) => value);
    expect(offered('owner')).toEqual(['read', 'sessions', 'admin']);
    expect(offered('member')).toEqual(['read', 'sessions']);
  });
});

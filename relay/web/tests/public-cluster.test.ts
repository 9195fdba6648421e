import { describe, expect, it } from 'vitest';

import { accessOf, canBeTested, EMPTY_DRAFT, parseConnectionTest, whereAllowed } from '../src/lib/public-cluster';

describe('a public cluster’s form', () => {
  it('sends only what the chosen way needs', () => {
    const draft = { ...EMPTY_DRAFT, kubeconfig: 'kind: Config', server: ' https://api ', token: ' t ', key: 'k' };
    expect(accessOf(draft)).toEqual({ kubeconfig: 'kind: Config' });
    expect(accessOf({ ...draft, by: 'token' })).toEqual({ server: 'https://api', token: 't' });
    expect(accessOf({ ...draft, by: 'certificate', ca: 'CA', tlsServerName: ' k8s ', certificate: 'c' })).toEqual({
      server: 'https://api',
      ca: 'CA',
      tls_server_name: 'k8s',
      client_certificate: 'c',
      client_key: 'k',
    });
  });

  it('waits until everything is there', () => {
    expect(canBeTested(EMPTY_DRAFT)).toBe(false);
    expect(canBeTested({ ...EMPTY_DRAFT, kubeconfig: 'x' })).toBe(true);
    expect(canBeTested({ ...EMPTY_DRAFT, by: 'token', token: 't' })).toBe(false);
    expect(canBeTested({ ...EMPTY_DRAFT, by: 'token', token: 't', server: 'https://api' })).toBe(true);
  });
});

describe('a connection test', () => {
  it('says where something is allowed', () => {
    const permission = { verb: 'get', resource: 'pods', namespaces: ['a', 'b'] };
    const test = parseConnectionTest(
      {
        ok: false,
        kubernetes_version: null,
        steps: [{ step: 'allowed', state: 'failed', sentence: 'No.' }],
        permissions: [
          { ...permission, allowed: 'some' },
          { ...permission, allowed: 'nowhere' },
          { ...permission, allowed: 'everywhere' },
        ],
      },
      '$',
    );
    expect(test.permissions.map(whereAllowed)).toEqual(['in a, b', 'nowhere', 'in every namespace']);
  });
});

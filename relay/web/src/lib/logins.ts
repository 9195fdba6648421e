/** Logins and API tokens as the API describes them, and what is said of them. Pure. */
import { array, boolean, nullable, object, string, time, type Parsed } from './parse';

export const parseLogin = object({
  id: string,
  kind: string,
  method: string,
  name: nullable(string),
  scopes: array(string),
  current: boolean,
  created_at: time,
  expires_at: time,
  last_used_at: nullable(time),
  client_ip: string,
  /** Untrusted text. */
  user_agent: string,
});

/** The token itself is shown once. */
export const parseNewToken = object({ token: string, api_token: parseLogin });

export type Login = Parsed<typeof parseLogin>;
export type NewToken = Parsed<typeof parseNewToken>;

/** What an API token may be used for. */
export interface TokenSettings {
  readonly name: string;
  readonly scopes: readonly string[];
  readonly expires_in_days: number;
}

/** What a new token may do, from least to most; each includes those before it. */
export const TOKEN_REACHES = [
  { value: 'read', text: 'Read: see lists, sessions and logs', scopes: ['read'] },
  { value: 'sessions', text: 'Sessions: also open, enter and end terminals', scopes: ['read', 'sessions'] },
  { value: 'admin', text: 'Admin: also change settings and people', scopes: ['read', 'sessions', 'admin'] },
] as const;

/** For how many days a new token may be good. */
export const TOKEN_DAYS = [7, 30, 90, 365] as const;

/** The reaches that are of use to somebody of this role: a token is never more than its person. */
export function reachesOf(role: string): readonly (typeof TOKEN_REACHES)[number][] {
  return TOKEN_REACHES.filter(({ value }) => value !== 'admin' || role === 'owner' || role === 'admin');
}

const METHODS: Record<string, string> = {
  link: 'a sign-in link',
  password: 'a password',
  passkey: 'a passkey',
  oidc: 'your organisation’s sign-in',
};

/** How somebody signed in. */
export function methodText(method: string): string {
  return (Object.hasOwn(METHODS, method) ? METHODS[method] : undefined) ?? method;
}

const BROWSERS: readonly (readonly [RegExp, string])[] = [
  [/\bEdg\//, 'Edge'],
  [/\bOPR\//, 'Opera'],
  [/\bFirefox\//, 'Firefox'],
  [/Chrom(?:e|ium)\//, 'Chrome'],
  [/\bSafari\//, 'Safari'],
];

const SYSTEMS: readonly (readonly [RegExp, string])[] = [
  [/\bAndroid\b/, 'Android'],
  [/\biPhone|iPad\b/, 'iOS'],
  [/\bWindows\b/, 'Windows'],
  [/\bMac OS X\b/, 'macOS'],
  [/\bLinux\b/, 'Linux'],
];

/** A browser in a few words, from what it says of itself; browsers name each other, so the order counts. */
export function browserText(userAgent: string): string {
  const named = (list: typeof BROWSERS) => list.find(([sign]) => sign.test(userAgent))?.[1];
  const [browser, system] = [named(BROWSERS), named(SYSTEMS)];
  if (browser === undefined) return 'A browser';
  return system === undefined ? browser : `${browser} on ${system}`;
}

/** Signing in: what the relay offers, and what it says when somebody comes back from a provider. Pure. */
import { array, boolean, nullable, object, string, texts, time, type Parsed } from './parse';

export const parseMethods = object({
  password: boolean,
  passkey: boolean,
  providers: array(object({ id: string, name: string })),
});

/** What the browser is asked; `options` is for the authenticator alone. */
export const parseChallenge = object({ challenge: string, options: anything });

export const parsePasskey = object({ id: string, name: string, created_at: time, last_used_at: nullable(time) });

export const parseOwnPassword = object({ in_use: boolean, is_set: boolean });

export const parseProvider = object({
  id: string,
  name: string,
  issuer: string,
  client_id: string,
  has_client_secret: boolean,
  redirect_url: string,
  scopes: array(string),
  groups_claim: nullable(string),
  group_mapping: texts,
  email_domains: array(string),
  unknown_people: string,
  known_members: string,
});

export type SignInMethods = Parsed<typeof parseMethods>;
export type Challenge = Parsed<typeof parseChallenge>;
export type Passkey = Parsed<typeof parsePasskey>;
export type OwnPassword = Parsed<typeof parseOwnPassword>;
export type Provider = Parsed<typeof parseProvider>;

/** What administrators say about a provider. */
export interface ProviderSettings {
  readonly name: string;
  readonly issuer: string;
  readonly client_id: string;
  /** Left out: as before. */
  readonly client_secret?: string;
  readonly scopes: readonly string[];
  readonly groups_claim: string | null;
  readonly group_mapping: Readonly<Record<string, string>>;
  readonly email_domains: readonly string[];
  readonly unknown_people: string;
  readonly known_members: string;
}

/** Where the browser goes to sign in at a provider. */
export function providerPath(id: string): string {
  return `/api/v1/sign-in/oidc/${encodeURIComponent(id)}`;
}

const REFUSALS: Record<string, string> = {
  no_such_provider: 'This way to sign in is no longer offered. Choose another one.',
  too_many: 'There were too many tries from your network. Wait a minute, then try again.',
  provider_failed: 'Your organisation’s sign-in did not answer as it should. Try again; if it stays so, tell an admin.',
  not_good: 'The sign-in was not completed in this browser, or took too long. Start over here.',
  declined: 'The sign-in was not completed there. Try again, or sign in another way.',
  sign_in_first: 'To link this sign-in with your account, sign in with a link, a passkey or your password first.',
  no_place: 'You have no access to this organisation, or it was suspended. Ask one of its admins.',
  not_invited: 'You were recognised, but nobody has invited you yet. Ask an admin of your organisation.',
  unverified_email:
    'Your organisation’s sign-in did not confirm your e-mail address. Ask your admin to confirm it there.',
  foreign_domain: 'Your e-mail address is not one of this organisation’s. Sign in with your work account.',
  address_taken:
    'There is an account with your e-mail address already. Sign in to it another way first, then link the two.',
  identity_taken: 'This sign-in is linked with another account already.',
};

/** The sentence for what the relay put into the address; `null` where there is nothing to say. */
export function refusalSentence(slug: string | null): string | null {
  if (slug === null) return null;
  return (Object.hasOwn(REFUSALS, slug) ? REFUSALS[slug] : undefined) ?? 'You could not be signed in. Try again.';
}

/** What the relay says to everybody without a login. */
const NOBODY = 'You are not signed in';

/** Why the login of this browser ended, if it had one: whoever was suspended is told so. */
export function endOfLogin(refusal: { readonly status: number; readonly sentence: string }): string | null {
  return refusal.status === 401 && !refusal.sentence.startsWith(NOBODY) ? refusal.sentence : null;
}

/** The words of a field that takes several. */
export function words(text: string): string[] {
  return text.split(/[\s,]+/).filter((word) => word !== '');
}

/** A line of the mapping's form: a value of the claim, and the id of a group; empty while nothing is chosen. */
export interface MappingRow {
  readonly value: string;
  readonly group: string;
}

/** The lines of a mapping, and one to go on with. */
export function mappingRows(mapping: Readonly<Record<string, string>>): MappingRow[] {
  return [...Object.entries(mapping).map(([value, group]) => ({ value, group })), { value: '', group: '' }];
}

export type ReadMapping =
  | { readonly ok: true; readonly mapping: Readonly<Record<string, string>> }
  | { readonly ok: false; readonly sentence: string };

/** The mapping that the lines mean; empty ones are left out. */
export function readMapping(rows: readonly MappingRow[]): ReadMapping {
  const filled = rows
    .map(({ value, group }) => ({ value: value.trim(), group }))
    .filter((row) => row.value || row.group);
  const half = filled.find(({ value, group }) => value === '' || group === '');
  if (half !== undefined) {
    const sentence =
      half.group === '' ? `Choose a group for “${half.value}”.` : 'Say which group at the provider is meant.';
    return { ok: false, sentence };
  }
  const twice = filled.find(({ value }, index) => filled.findIndex((other) => other.value === value) !== index);
  if (twice !== undefined)
    return { ok: false, sentence: `“${twice.value}” is there twice. Each can lead to one group.` };
  return { ok: true, mapping: Object.fromEntries(filled.map(({ value, group }) => [value, group])) };
}

function anything(value: unknown): unknown {
  return value;
}

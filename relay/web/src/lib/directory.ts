/** The people of an organisation, their groups and invitations, as the API describes them, and what is said of them. Pure. */
import { array, boolean, count, nullable, object, string, time, type Parsed } from './parse';
import type { Viewer } from './session';
import type { Tone } from './tone';

const user = object({ id: string, email: string, name: string });

export const parsePerson = object({
  user,
  role: string,
  status: string,
  groups: array(object({ id: string, name: string })),
  joined_at: time,
  last_seen_at: nullable(time),
});

export const parseInvitation = object({
  id: string,
  email: string,
  role: string,
  groups: array(string),
  created_at: time,
  expires_at: time,
});

/** The link is shown once. */
export const parseInvited = object({ invitation: parseInvitation, url: string });

export const parseGroup = object({
  id: string,
  name: string,
  kubernetes_groups: array(string),
  members: count,
  created_at: time,
});

export const parseGroupMember = object({ user, source: string });

export const parseOrganisation = object({
  id: string,
  name: string,
  role: string,
  suspended: boolean,
  current: boolean,
});

export const parseOrganisations = object({ items: array(parseOrganisation) });

export type Person = Parsed<typeof parsePerson>;
export type Invitation = Parsed<typeof parseInvitation>;
export type Invited = Parsed<typeof parseInvited>;
export type Group = Parsed<typeof parseGroup>;
export type GroupMember = Parsed<typeof parseGroupMember>;
export type OwnOrganisation = Parsed<typeof parseOrganisation>;

/** What is to become of a person. */
export type PersonChange = { readonly role: string } | { readonly suspended: boolean };

/** What is to become of a group; what is left out stays. */
export interface GroupChange {
  readonly name?: string;
  readonly kubernetes_groups?: readonly string[];
}

/** What a role allows, for whoever gives it. */
export interface RoleChoice {
  readonly role: string;
  readonly text: string;
  readonly meaning: string;
}

const ROLES: readonly RoleChoice[] = [
  { role: 'member', text: 'Member', meaning: 'opens what access rules allow' },
  { role: 'auditor', text: 'Auditor', meaning: 'sees everything, and opens nothing' },
  { role: 'admin', text: 'Admin', meaning: 'changes the settings and the people, but no owners' },
  { role: 'owner', text: 'Owner', meaning: 'changes everything, owners too' },
];

/** What a role is called. */
export function roleText(role: string): string {
  return ROLES.find((known) => known.role === role)?.text ?? role;
}

/** The roles that somebody of this role may give; the relay decides anew. */
export function rolesToGive(role: string): readonly RoleChoice[] {
  if (role === 'owner') return ROLES;
  return role === 'admin' ? ROLES.filter((choice) => choice.role !== 'owner') : [];
}

/** Whether somebody is suspended, in a word or two. */
export function personStatus({ status }: Person): { readonly tone: Tone; readonly text: string } {
  if (status === 'active') return { tone: 'good', text: 'Active' };
  if (status === 'suspended') return { tone: 'warning', text: 'Suspended' };
  return { tone: 'danger', text: 'Account suspended' };
}

/** Whether the viewer may change this person; the relay decides anew. */
export function mayChangePerson(viewer: Viewer, person: Person): boolean {
  if (viewer.id === person.user.id) return false;
  return rolesToGive(viewer.role).some(({ role }) => role === person.role);
}

/** What somebody is called: by the name where it says more than the address. */
export function personName({ name, email }: Person['user']): string {
  return name === '' ? email : name;
}

/** The people that could be put into a group, by address. */
export function peopleOutside(people: readonly Person[], members: readonly GroupMember[]): Person[] {
  const inside = new Set(members.map((member) => member.user.id));
  const outside = people.filter((person) => !inside.has(person.user.id));
  return outside.sort((one, other) => one.user.email.localeCompare(other.user.email));
}

/** The names of a field that takes one a line: what Kubernetes calls a group may have blanks and commas in it. */
export function lines(text: string): string[] {
  const all = text.split('\n').map((line) => line.trim());
  return [...new Set(all.filter((line) => line !== ''))];
}

/** Whether the person whom an invitation is for is signed in, or somebody else is. */
export function joinerOf(invited: string, signedIn: string | null): 'new' | 'themselves' | 'somebody else' {
  if (signedIn === null) return 'new';
  return invited.toLowerCase() === signedIn.toLowerCase() ? 'themselves' : 'somebody else';
}

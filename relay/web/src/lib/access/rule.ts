/** Access rules as the API has them. Pure. */
import { array, count, nullable, object, oneOf, record, string, time, type Parsed, type Parser } from '../parse';

export const ROLES = ['owner', 'admin', 'auditor', 'member'] as const;
export const ACTIONS = ['view', 'exec', 'debug', 'observe', 'replay'] as const;

export type Role = (typeof ROLES)[number];
export type AccessAction = (typeof ACTIONS)[number];

export const ROLE_NAMES: Record<Role, string> = {
  owner: 'owners',
  admin: 'admins',
  auditor: 'auditors',
  member: 'members',
};

/** What may be done, as one does it. */
export const ACTION_NAMES: Record<AccessAction, string> = {
  view: 'see pods',
  exec: 'open terminals',
  debug: 'add debug containers',
  observe: 'observe sessions',
  replay: 'watch recordings',
};

/** A text for each name, such as a label's value. */
export const texts: Parser<Readonly<Record<string, string>>> = (value, path) =>
  Object.fromEntries(
    Object.entries(record(value, path)).map(([name, text]) => [name, string(text, `${path}.${name}`)]),
  );

type Approvers = 'administrators' | { readonly group: string };

const approvers: Parser<Approvers> = (value, path) =>
  value === 'administrators' ? value : object({ group: string })(value, path);

const terms = object({
  max_duration_seconds: nullable(count),
  idle_close_seconds: nullable(count),
  reason: oneOf('optional', 'required'),
  approval: nullable(object({ lasts_seconds: count, approvers })),
});

export type Terms = Parsed<typeof terms>;
export type Effect = 'deny' | { readonly allow: Terms };

const effect: Parser<Effect> = (value, path) => (value === 'deny' ? value : object({ allow: terms })(value, path));

const settings = object({
  name: string,
  effect,
  who: object({ users: array(string), groups: array(string), roles: array(oneOf(...ROLES)) }),
  clusters: object({ names: array(string), ids: array(string), labels: texts }),
  namespaces: array(string),
  pod_labels: texts,
  containers: array(string),
  actions: array(oneOf(...ACTIONS)),
});

export const parseRule = object({ id: string, revision: count, created_at: time, updated_at: time, settings });

export type RuleSettings = Parsed<typeof settings>;
export type Rule = Parsed<typeof parseRule>;

/** An action by its name in an address; `null` if there is none of that name. */
export function readAction(text: string | null): AccessAction | null {
  return ACTIONS.find((action) => action === text) ?? null;
}

/** People by id, for filters: an address names a person by the id, and lists tell who that is. */
import { SvelteMap } from 'svelte/reactivity';

const people = new SvelteMap<string, string>();

/** Remembers a person that an answer of the API told. */
export function rememberPerson(id: string, email: string): void {
  if (people.get(id) !== email) people.set(id, email);
}

/** Everybody who was seen so far, by name. */
export function knownPeople(): { readonly id: string; readonly email: string }[] {
  const list = [...people].map(([id, email]) => ({ id, email }));
  return list.sort((one, other) => one.email.localeCompare(other.email));
}

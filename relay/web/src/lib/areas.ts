/** The areas of the console that have several pages each, and a navigation beside them. Pure. */
import { NO_QUESTION } from './access/explanation';
import type { Route } from './route';

/** A page of an area, as its navigation offers it. */
export interface AreaPage {
  readonly text: string;
  readonly to: Route;
  /** What else belongs to it, such as the page of one thing of a list. */
  readonly also?: readonly Route['page'][];
}

/** Pages that belong together. */
export interface Area {
  readonly title: string;
  readonly pages: readonly AreaPage[];
}

/** What administrators set for the organisation. */
export const SETTINGS: Area = {
  title: 'Settings',
  pages: [
    { text: 'People', to: { page: 'people' } },
    { text: 'Groups', to: { page: 'groups' }, also: ['group'] },
    { text: 'Clusters', to: { page: 'clusters-settings' }, also: ['cluster-settings'] },
    { text: 'Access rules', to: { page: 'access-rules' }, also: ['access-rule'] },
    { text: 'Debug containers', to: { page: 'debug-images' } },
    { text: 'Sign-in', to: { page: 'sign-in-settings' } },
  ],
};

/** What one may open, and asks others to allow. */
export const ACCESS: Area = {
  title: 'Access',
  pages: [
    { text: 'Requests', to: { page: 'access-requests' } },
    { text: 'Who can open what', to: { page: 'access', question: NO_QUESTION } },
  ],
};

/** What everybody sets for themselves. */
export const ACCOUNT: Area = {
  title: 'My account',
  pages: [
    { text: 'How you sign in', to: { page: 'own-sign-in' } },
    { text: 'Where you are signed in', to: { page: 'own-logins' } },
    { text: 'API tokens', to: { page: 'own-tokens' } },
  ],
};

/** The area that a route lies in, if it lies in one. */
export function areaOf(route: Route): Area | null {
  return [SETTINGS, ACCESS, ACCOUNT].find(({ pages }) => pages.some((page) => isWithin(route, page))) ?? null;
}

/** Whether a route is this page, or belongs to it. */
export function isWithin(route: Route, { to, also = [] }: AreaPage): boolean {
  return route.page === to.page || also.includes(route.page);
}

/** Whether people of this role see the settings; the relay decides anew. */
export function maySeeSettings(role: string): boolean {
  return ['owner', 'admin', 'auditor'].includes(role);
}

/** Whether people of this role change the settings; the relay decides anew. */
export function mayChangeSettings(role: string): boolean {
  return ['owner', 'admin'].includes(role);
}

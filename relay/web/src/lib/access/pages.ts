/** The pages about access, and who sees which. Pure; the relay decides anew. */
import type { Route } from '../route';
import { NO_QUESTION } from './explanation';

interface Tab {
  readonly text: string;
  readonly to: Route;
  readonly isCurrent: boolean;
}

/** Whether somebody sees the organisation's rules, and what others may do. */
export function maySeeRules(role: string): boolean {
  return role === 'owner' || role === 'admin' || role === 'auditor';
}

/** Whether somebody changes them. */
export function mayChangeRules(role: string): boolean {
  return role === 'owner' || role === 'admin';
}

export function isAccessPage({ page }: Route): boolean {
  return page === 'access' || page.startsWith('access-');
}

/** What leads from one page about access to the others. */
export function accessTabs({ page }: Route, role: string): Tab[] {
  const rules: Tab = {
    text: 'Rules',
    to: { page: 'access-rules' },
    isCurrent: page === 'access-rules' || page === 'access-rule',
  };
  return [
    ...(maySeeRules(role) ? [rules] : []),
    { text: 'Requests', to: { page: 'access-requests' }, isCurrent: page === 'access-requests' },
    {
      text: maySeeRules(role) ? 'Who can open what' : 'What I can open',
      to: { page: 'access', question: NO_QUESTION },
      isCurrent: page === 'access',
    },
  ];
}

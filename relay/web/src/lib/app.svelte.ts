/** What all pages share: the address, who is signed in, the settings of this browser. */
import { AccessApi } from './access/access-api';
import { Api, type ApiError, type Me } from './api';
import { parseRoute, routePath, type Route } from './route';
import { readSettings, SETTINGS_KEY, type Settings } from './settings';

/** Who looks at the console. */
export type Identity =
  | { readonly kind: 'unknown' }
  | { readonly kind: 'signed-in'; readonly me: Me }
  | { readonly kind: 'signed-out' }
  | { readonly kind: 'unavailable'; readonly error: ApiError };

/** What a click asked for that an address alone must not do: a link from elsewhere opens no session. */
export type Intent = 'open-terminal' | 'look';

export const api = new Api((input, init) => fetch(input, init));

/** Access rules and requests. */
export const accessApi = new AccessApi((input, init) => fetch(input, init));

const systemDark = window.matchMedia('(prefers-color-scheme: dark)');

class App {
  route = $state.raw<Route>(parseRoute(location.pathname, location.search));
  /** Grows with every visit, so that the same address visited again starts anew. */
  visit = $state(0);
  identity = $state.raw<Identity>({ kind: 'unknown' });
  settings = $state.raw<Settings>(readSettings(localStorage.getItem(SETTINGS_KEY)));
  #systemTheme = $state<'light' | 'dark'>(systemDark.matches ? 'dark' : 'light');
  #intent: Intent = 'look';

  constructor() {
    window.addEventListener('popstate', () => {
      this.#visit(parseRoute(location.pathname, location.search), 'look');
    });
    window.addEventListener('storage', (event) => {
      if (event.key === SETTINGS_KEY) this.settings = readSettings(event.newValue);
    });
    systemDark.addEventListener('change', () => {
      this.#systemTheme = systemDark.matches ? 'dark' : 'light';
    });
  }

  /** The theme that is drawn. */
  get theme(): 'light' | 'dark' {
    return this.settings.theme === 'system' ? this.#systemTheme : this.settings.theme;
  }

  /** Goes to a page, leaving the present one in the history. */
  go(route: Route, intent: Intent = 'look'): void {
    history.pushState(null, '', routePath(route));
    this.#visit(route, intent);
  }

  /** Goes to a page in place of the present one. */
  goInstead(route: Route, intent: Intent = 'look'): void {
    history.replaceState(null, '', routePath(route));
    this.#visit(route, intent);
  }

  /** Gives the page that is shown another address. */
  rename(route: Route): void {
    history.replaceState(null, '', routePath(route));
    this.route = route;
  }

  /** What the click that led here asked for; only once. */
  takeIntent(): Intent {
    const intent = this.#intent;
    this.#intent = 'look';
    return intent;
  }

  change(settings: Settings): void {
    this.settings = settings;
    localStorage.setItem(SETTINGS_KEY, JSON.stringify(settings));
  }

  async loadIdentity(): Promise<void> {
    const result = await api.me();
    if (result.ok) this.identity = { kind: 'signed-in', me: result.value };
    else if (result.error.status === 401) this.identity = { kind: 'signed-out' };
    else this.identity = { kind: 'unavailable', error: result.error };
  }

  async signOut(): Promise<void> {
    const result = await api.signOut();
    if (result.ok || result.error.status === 401) this.identity = { kind: 'signed-out' };
  }

  #visit(route: Route, intent: Intent): void {
    this.#intent = intent;
    this.route = route;
    this.visit += 1;
    window.scrollTo(0, 0);
  }
}

export const app = new App();

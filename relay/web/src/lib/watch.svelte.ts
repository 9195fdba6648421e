/** An inventory watch as state of a component: open while the component lives and the page can be seen. */
import { app } from './app.svelte';
import { watchInventory, type InventoryView } from './inventory';
import { browserClock } from './timing';

export class Watch {
  view = $state.raw<InventoryView>({ state: { kind: 'loading' }, items: [] });

  constructor(url: () => string) {
    $effect(() => {
      const environment = {
        fetch: (input: RequestInfo | URL, init?: RequestInit) => fetch(input, init),
        clock: browserClock,
        random: Math.random,
      };
      const show = (view: InventoryView) => {
        this.view = view;
        if (view.state.kind === 'unauthenticated') app.identity = { kind: 'signed-out' };
      };
      const stream = watchInventory(url(), show, environment);
      // Browsers allow six connections to a relay that speaks HTTP/1.1: hidden tabs must not hold them.
      const follow = () => {
        if (document.hidden) stream.close();
        else stream.open();
      };
      const retry = () => {
        if (!document.hidden) stream.open();
      };
      document.addEventListener('visibilitychange', follow);
      window.addEventListener('online', retry);
      follow();
      return () => {
        document.removeEventListener('visibilitychange', follow);
        window.removeEventListener('online', retry);
        stream.close();
      };
    });
  }
}

/** An inventory watch as state of a component: open while the component lives and the page can be seen. */
import { app } from './app.svelte';
import { watchInventory, type InventoryView } from './inventory';
import { browserStreams, keepOpenWhileVisible } from './visible-stream';

export class Watch {
  view = $state.raw<InventoryView>({ state: { kind: 'loading' }, items: [] });

  constructor(url: () => string) {
    $effect(() => {
      const show = (view: InventoryView) => {
        this.view = view;
        if (view.state.kind === 'unauthenticated') app.identity = { kind: 'signed-out' };
      };
      const stream = watchInventory(url(), show, browserStreams);
      return keepOpenWhileVisible(stream);
    });
  }
}

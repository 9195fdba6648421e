/** What a cluster holds, kept from a watch's events: namespaces, or the workloads and pods of one namespace. */
import type { ApiError } from './api';
import { EventStream, type StreamEvent } from './event-stream';
import { array, count, nullable, object, oneOf, parseJson, string, tag, time, type Parsed } from './parse';
import type { Clock } from './timing';

const namespace = object({ name: string });
const workload = object({ kind: string, name: string, desired: count, ready: count });
const container = object({ name: string, image: string, state: oneOf('waiting', 'running', 'terminated') });
const pod = object({
  name: string,
  uid: string,
  workload: nullable(object({ kind: string, name: string })),
  status: string,
  restarts: count,
  created_at: time,
  containers: array(container),
  default_container: nullable(string),
});
const refusal = object({ code: string, message: string });

export type Container = Parsed<typeof container>;
export type Item =
  | ({ readonly type: 'namespace' } & Parsed<typeof namespace>)
  | ({ readonly type: 'workload' } & Parsed<typeof workload>)
  | ({ readonly type: 'pod' } & Parsed<typeof pod>);
export type Workload = Extract<Item, { type: 'workload' }>;
export type Pod = Extract<Item, { type: 'pod' }>;

/** How far the watch is. Items that are shown while it reconnects may be out of date. */
export type WatchState =
  | { readonly kind: 'loading' }
  | { readonly kind: 'live' }
  | { readonly kind: 'reconnecting'; readonly sentence: string }
  | { readonly kind: 'unauthenticated' }
  | { readonly kind: 'refused'; readonly sentence: string };

/** What a page shows. */
export interface InventoryView {
  readonly state: WatchState;
  readonly items: readonly Item[];
}

/** Pure: events in, sorted view out. */
export class Inventory {
  #items = new Map<string, Item>();
  #state: WatchState = { kind: 'loading' };
  /** Keys seen since the stream began; what was not seen when it is synced is gone. */
  #seen: Set<string> | null = new Set();

  view(): InventoryView {
    return { state: this.#state, items: [...this.#items.values()].sort(byName) };
  }

  /** A new connection: a full list follows. */
  begin(): void {
    this.#seen = new Set();
  }

  /** Takes one event; says whether more can follow. Events of kinds that this version does not know are skipped. */
  take(event: StreamEvent): 'continue' | 'stop' {
    switch (event.name) {
      case 'applied':
        this.#apply(event.data);
        return 'continue';
      case 'deleted':
        this.#items.delete(parseJson(event.data, keyOf));
        return 'continue';
      case 'synced':
        this.#synced();
        return 'continue';
      case 'refused':
        this.#state = { kind: 'refused', sentence: parseJson(event.data, refusal).message };
        return 'stop';
      default:
        return 'continue';
    }
  }

  /** The stream was lost or refused; what is known stays. */
  fail(error: ApiError, isFinal: boolean): void {
    if (error.status === 401) this.#state = { kind: 'unauthenticated' };
    else this.#state = { kind: isFinal ? 'refused' : 'reconnecting', sentence: error.sentence };
  }

  #apply(data: string): void {
    const item = parseJson(data, parseItem);
    if (item === null) return;
    const key = parseJson(data, keyOf);
    this.#items.set(key, item);
    this.#seen?.add(key);
  }

  #synced(): void {
    const seen = this.#seen;
    if (seen !== null) this.#items = new Map([...this.#items].filter(([key]) => seen.has(key)));
    this.#seen = null;
    this.#state = { kind: 'live' };
  }
}

/** Watches one URL for as long as it is open; `onChange` is called at most once a burst of events. */
export function watchInventory(
  url: string,
  onChange: (view: InventoryView) => void,
  environment: { fetch: typeof fetch; clock: Clock; random: () => number },
): EventStream {
  const inventory = new Inventory();
  let isQueued = false;
  const publish = () => {
    if (isQueued) return;
    isQueued = true;
    environment.clock.setTimeout(() => {
      isQueued = false;
      onChange(inventory.view());
    }, 0);
  };
  const handlers = {
    onOpen: () => {
      inventory.begin();
    },
    onEvent: (event: StreamEvent) => {
      const next = inventory.take(event);
      publish();
      return next;
    },
    onError: (error: ApiError) => {
      inventory.fail(error, error.status >= 400 && error.status < 500 && error.status !== 429);
      publish();
    },
  };
  return new EventStream(url, handlers, environment.fetch, environment.clock, environment.random);
}

/** Address of the watch over a cluster's namespaces. */
export function namespacesUrl(cluster: string): string {
  return `/api/v1/clusters/${encodeURIComponent(cluster)}/namespaces/watch`;
}

/** Address of the watch over a namespace's workloads and pods. */
export function namespaceUrl(cluster: string, name: string): string {
  return `/api/v1/clusters/${encodeURIComponent(cluster)}/namespaces/${encodeURIComponent(name)}/watch`;
}

/** Pods by the workload that they belong to; those of none, or of one that is not listed, last. */
export interface WorkloadGroup {
  readonly workload: Workload | null;
  readonly pods: readonly Pod[];
}

/** Groups a namespace's items as the page shows them. */
export function groupByWorkload(items: readonly Item[]): WorkloadGroup[] {
  const workloads = items.filter((item) => item.type === 'workload');
  const pods = items.filter((item) => item.type === 'pod');
  const belongs = (item: Pod, owner: Workload) =>
    item.workload?.kind === owner.kind && item.workload.name === owner.name;
  const groups: WorkloadGroup[] = workloads.map((owner) => ({
    workload: owner,
    pods: pods.filter((item) => belongs(item, owner)),
  }));
  const alone = pods.filter((item) => !workloads.some((owner) => belongs(item, owner)));
  return alone.length === 0 ? groups : [...groups, { workload: null, pods: alone }];
}

function parseItem(value: unknown, path: string): Item | null {
  switch (tag(value, 'type')) {
    case 'namespace':
      return { type: 'namespace', ...namespace(value, path) };
    case 'workload':
      return { type: 'workload', ...workload(value, path) };
    case 'pod':
      return { type: 'pod', ...pod(value, path) };
    default:
      return null;
  }
}

function keyOf(value: unknown): string {
  const type = tag(value, 'type');
  const kind = type === 'workload' ? tag(value, 'kind') : '';
  return `${type}/${kind}/${tag(value, 'name')}`;
}

function byName(one: Item, other: Item): number {
  return one.name < other.name ? -1 : one.name > other.name ? 1 : 0;
}

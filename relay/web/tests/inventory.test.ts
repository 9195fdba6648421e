import { describe, expect, it } from 'vitest';
import { groupByWorkload, Inventory, watchInventory, type InventoryView, type Item } from '../src/lib/inventory';
import { EventParser } from '../src/lib/event-stream';
import { podChoices, workloadChoices } from '../src/lib/choices';
import { FakeClock, settle } from './fakes';

const pod = (name: string, more: object = {}) => ({
  type: 'pod',
  name,
  uid: `uid-${name}`,
  workload: null,
  status: 'Running',
  restarts: 0,
  created_at: '2026-01-02T03:04:05.000Z',
  containers: [{ name: 'app', image: 'busybox', state: 'running' }],
  default_container: 'app',
  ...more,
});

const event = (name: string, data: object) => ({ name, data: JSON.stringify(data) });
const names = (inventory: Inventory) => inventory.view().items.map((item) => item.name);

describe('the parser of events', () => {
  it('puts events together however the stream is cut', () => {
    const stream = ': beat\n\nevent: applied\ndata: {"a":\ndata: 1}\r\n\r\nevent:synced\ndata:{}\n\n';
    for (let size = 1; size < stream.length; size++) {
      const parser = new EventParser();
      const events = [];
      for (let start = 0; start < stream.length; start += size) {
        events.push(...parser.push(stream.slice(start, start + size)));
      }
      expect(events).toEqual([
        { name: 'applied', data: '{"a":\n1}' },
        { name: 'synced', data: '{}' },
      ]);
    }
  });
});

describe('an inventory', () => {
  it('is loading until it is synced, and sorted by name', () => {
    const inventory = new Inventory();
    inventory.take(event('applied', pod('b')));
    expect(inventory.view().state.kind).toBe('loading');
    inventory.take(event('applied', pod('a')));
    inventory.take(event('synced', {}));
    expect(inventory.view().state.kind).toBe('live');
    expect(names(inventory)).toEqual(['a', 'b']);
  });

  it('replaces what changed and drops what was deleted, telling kinds apart', () => {
    const inventory = new Inventory();
    inventory.take(event('applied', pod('web')));
    inventory.take(event('applied', { type: 'workload', kind: 'deployment', name: 'web', desired: 2, ready: 1 }));
    inventory.take(event('applied', pod('web', { status: 'CrashLoopBackOff' })));
    inventory.take(event('deleted', { type: 'workload', kind: 'deployment', name: 'web' }));
    expect(inventory.view().items).toMatchObject([{ type: 'pod', status: 'CrashLoopBackOff' }]);
  });

  it('keeps showing what it knows while it reconnects, then drops what was not seen again', () => {
    const inventory = new Inventory();
    inventory.take(event('applied', pod('old')));
    inventory.take(event('applied', pod('kept')));
    inventory.take(event('synced', {}));
    inventory.fail({ slug: 'network', status: 0, sentence: 'The relay cannot be reached.' }, false);
    inventory.begin();
    inventory.take(event('applied', pod('kept')));
    expect(names(inventory)).toEqual(['kept', 'old']);
    expect(inventory.view().state.kind).toBe('reconnecting');
    inventory.take(event('synced', {}));
    expect(names(inventory)).toEqual(['kept']);
    expect(inventory.view().state.kind).toBe('live');
  });

  it('stops with the sentence when the agent refuses', () => {
    const inventory = new Inventory();
    const refused = event('refused', { code: 'not_allowed_by_agent', message: 'Not here.' });
    expect(inventory.take(refused)).toBe('stop');
    expect(inventory.view().state).toEqual({ kind: 'refused', sentence: 'Not here.' });
  });

  it('skips kinds of a newer relay and refuses what makes no sense', () => {
    const inventory = new Inventory();
    inventory.take(event('applied', { type: 'node', name: 'n' }));
    inventory.take(event('weather', {}));
    expect(inventory.view().items).toEqual([]);
    expect(() => inventory.take(event('applied', { type: 'pod', name: 'x' }))).toThrow('should be');
  });
});

describe('a watch', () => {
  it('shows a burst of events once, reconnects after a loss, and stops when it is refused for good', async () => {
    const clock = new FakeClock();
    const views: InventoryView[] = [];
    const answers = [
      () => stream([event('applied', pod('a')), event('applied', pod('b')), event('synced', {})]),
      () => Promise.reject(new TypeError('fetch failed')),
      () => Promise.resolve(new Response('{}', { status: 403 })),
    ];
    let calls = 0;
    const fetcher = () => {
      calls += 1;
      return answers.shift()?.() ?? Promise.reject(new TypeError('no more answers'));
    };
    const watch = watchInventory('/watch', (view) => views.push(view), { fetch: fetcher, clock, random: () => 1 });
    watch.open();
    await settle();
    clock.advance(0);
    expect(views).toHaveLength(1);
    expect(views[0]?.items).toHaveLength(2);
    clock.advance(60_000);
    await settle();
    clock.advance(0);
    expect(views.at(-1)?.state.kind).toBe('reconnecting');
    expect(views.at(-1)?.items).toHaveLength(2);
    clock.advance(60_000);
    await settle();
    clock.advance(0);
    expect(views.at(-1)?.state.kind).toBe('refused');
    clock.advance(600_000);
    await settle();
    expect(calls).toBe(3);
  });

  it('takes a stream without heartbeats for dead', async () => {
    const clock = new FakeClock();
    const aborted: boolean[] = [];
    const fetcher: typeof fetch = (_, init) =>
      new Promise((_resolve, reject) => {
        init?.signal?.addEventListener('abort', () => {
          aborted.push(true);
          reject(init.signal?.reason as Error);
        });
      });
    const views: InventoryView[] = [];
    const watch = watchInventory('/watch', (view) => views.push(view), { fetch: fetcher, clock, random: () => 1 });
    watch.open();
    clock.advance(45_000);
    await settle();
    clock.advance(0);
    expect(aborted).toEqual([true]);
    expect(views.at(-1)?.state.kind).toBe('reconnecting');
    watch.close();
    expect(clock.pending).toBe(0);
  });
});

describe('the page of a namespace', () => {
  it('groups pods by workload, and puts those of none last', () => {
    const inventory = new Inventory();
    inventory.take(event('applied', { type: 'workload', kind: 'deployment', name: 'web', desired: 2, ready: 1 }));
    inventory.take(event('applied', pod('web-1', { workload: { kind: 'deployment', name: 'web' } })));
    inventory.take(event('applied', pod('alone')));
    inventory.take(event('applied', pod('orphan', { workload: { kind: 'job', name: 'gone' } })));
    const groups = groupByWorkload(inventory.view().items);
    expect(groups.map((group) => [group.workload?.name ?? null, group.pods.map((item) => item.name)])).toEqual([
      ['web', ['web-1']],
      [null, ['alone', 'orphan']],
    ]);
  });

  it('offers the containers of the pods that run, or of all when none does', () => {
    const two = [
      { name: 'app', image: 'a', state: 'running' },
      { name: 'sidecar', image: 'b', state: 'running' },
    ];
    const waiting = [{ name: 'app', image: 'a', state: 'waiting' }];
    const running = parsePod(pod('one', { containers: two, default_container: 'sidecar' }));
    const pending = parsePod(pod('two', { containers: waiting, default_container: 'app' }));
    expect(podChoices(running).map((choice) => [choice.container.name, choice.isDefault])).toEqual([
      ['app', false],
      ['sidecar', true],
    ]);
    expect(workloadChoices([running, pending]).map((choice) => choice.pod)).toEqual(['one', 'one']);
    expect(workloadChoices([pending]).map((choice) => choice.pod)).toEqual(['two']);
  });
});

function parsePod(value: object): Extract<Item, { type: 'pod' }> {
  const inventory = new Inventory();
  inventory.take(event('applied', value));
  const item = inventory.view().items[0];
  if (item?.type !== 'pod') throw new Error('that is no pod');
  return item;
}

function stream(events: { name: string; data: string }[]): Promise<Response> {
  const text = events.map(({ name, data }) => `event: ${name}\ndata: ${data}\n\n`).join('');
  return Promise.resolve(new Response(text, { status: 200 }));
}

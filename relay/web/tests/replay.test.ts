import { describe, expect, it } from 'vitest';
import type { ApiResult } from '../src/lib/api';
import type { TerminalSize } from '../src/lib/protocol';
import { parseSegment } from '../src/lib/replay/cast';
import { changedSpeed, keyAction, SPEEDS } from '../src/lib/replay/keys';
import { Library } from '../src/lib/replay/library';
import {
  currentMark,
  formatTime,
  nextMark,
  percent,
  previousMark,
  thinned,
  visibleText,
} from '../src/lib/replay/marks';
import { Player, type PlayerState, type ReplaySink } from '../src/lib/replay/player';
import { ReplayApi, type Screen, type Segment } from '../src/lib/replay/replay-api';
import { FakeClock, settle } from './fakes';

type Line = readonly [seconds: number, code: string, data: string];

/** Segments by index; `null` is one that cannot be had, an error one that may be had later. */
type Tape = (readonly Line[] | null)[];

const SIZE = { columns: 20, rows: 4 };

class FakeScreen implements ReplaySink {
  readonly log: string[] = [];

  reset(size: TerminalSize): void {
    this.log.push(`reset ${size.columns}x${size.rows}`);
  }

  resize(size: TerminalSize): void {
    this.log.push(`resize ${size.columns}x${size.rows}`);
  }

  write(data: Uint8Array | string): Promise<void> {
    this.log.push(typeof data === 'string' ? data : new TextDecoder().decode(data));
    return Promise.resolve();
  }

  /** What was drawn since the last look. */
  take(): string {
    return this.log.splice(0).join('|');
  }
}

function segmentsOf(tape: Tape): Segment[] {
  let at = 0;
  return tape.map((lines, index) => {
    const from_ms = at;
    at = lines === null ? at + 1_000 : (lines.at(-1)?.[0] ?? 0) * 1_000;
    return { index, from_ms, to_ms: at, bytes: 0, sha256: '' };
  });
}

class Show {
  readonly clock = new FakeClock();
  readonly screen = new FakeScreen();
  readonly missing: string[] = [];
  readonly jumps: number[] = [];
  readonly loads: number[] = [];
  isOffline = false;
  state: PlayerState;
  readonly player: Player;
  readonly tape: Tape;

  constructor(tape: Tape) {
    this.tape = tape;
    const segments = segmentsOf(tape);
    const library = new Library(
      (index) => this.#load(index),
      (error) => this.missing.push(error.sentence),
    );
    this.player = new Player(
      { durationMs: segments.at(-1)?.to_ms ?? 0, segments },
      {
        clock: this.clock,
        library,
        sink: this.screen,
        screen: (atMs) => this.#screen(atMs),
        onState: (state) => (this.state = state),
      },
    );
    this.state = this.player.state;
  }

  /** Lets time pass in small steps, with what is asked for arriving at once. */
  async pass(milliseconds: number): Promise<void> {
    await settle();
    for (let passed = 0; passed < milliseconds; passed += 50) {
      this.clock.advance(Math.min(50, milliseconds - passed));
      await settle();
    }
  }

  #failure<T>(slug: string, status: number): ApiResult<T> {
    return { ok: false, error: { slug, status, sentence: `${slug}.` } };
  }

  #load(index: number): Promise<ApiResult<string>> {
    this.loads.push(index);
    if (this.isOffline) return Promise.resolve(this.#failure('network', 0));
    const lines = this.tape[index];
    if (lines === null || lines === undefined) return Promise.resolve(this.#failure('recording_damaged', 409));
    return Promise.resolve({ ok: true, value: lines.map((line) => JSON.stringify(line)).join('\n') });
  }

  #screen(atMs: number): Promise<ApiResult<Screen>> {
    this.jumps.push(atMs);
    if (this.isOffline) return Promise.resolve(this.#failure('network', 0));
    const all = this.tape.flatMap((lines, index) => (lines ?? []).map((line, event) => ({ line, index, event })));
    const next = all.find(({ line: [seconds] }) => seconds * 1_000 > atMs);
    const place = next ?? { index: this.tape.length, event: 0 };
    const value = {
      at_ms: atMs,
      ...SIZE,
      data: btoa(`screen@${atMs}`),
      next_segment: place.index,
      next_event: place.event,
    };
    return Promise.resolve({ ok: true, value });
  }
}

const shown = (...tape: Tape) => new Show(tape);

describe('a segment', () => {
  it('is parsed as far as it makes sense', () => {
    const text =
      '[0.5,"o","a"]\nnonsense\n[1,"r","80x24"]\n[1,"r","0x9"]\n[2]\n{"a":1}\n[2,"o",3]\n[2.25,"m","ls"]\n[1e999,"o","x"]\n';
    expect(parseSegment(text)).toEqual([
      { kind: 'output', atMs: 500, text: 'a' },
      { kind: 'resize', atMs: 1_000, size: { columns: 80, rows: 24 } },
      { kind: 'other', atMs: 1_000 },
      { kind: 'other', atMs: 2_250 },
    ]);
  });
});

describe('a replay', () => {
  const words = () =>
    shown(
      [
        [0, 'o', 'a'],
        [1, 'o', 'b'],
        [1.5, 'r', '30x9'],
      ],
      [
        [2, 'o', 'c'],
        [3, 'o', 'd'],
      ],
    );

  it('draws what is due, when it is due, over the ends of segments', async () => {
    const show = words();
    show.player.play();
    await show.pass(500);
    expect(show.screen.take()).toBe('a');
    await show.pass(600);
    expect(show.screen.take()).toBe('b');
    expect(show.state).toMatchObject({ isPlaying: true, positionMs: 1_100, durationMs: 3_000 });
    await show.pass(1_000);
    expect(show.screen.take()).toBe('resize 30x9|c');
    await show.pass(1_500);
    expect(show.screen.take()).toBe('d');
    expect(show.state).toMatchObject({ isAtEnd: true, positionMs: 3_000 });
    expect(show.clock.pending).toBe(0);
  });

  it('stands still while it is paused, and goes on from there', async () => {
    const show = words();
    show.player.play();
    await show.pass(900);
    show.player.pause();
    await show.pass(5_000);
    expect(show.screen.take()).toBe('a');
    expect(show.state).toMatchObject({ isPlaying: false, positionMs: 900 });
    show.player.toggle();
    await show.pass(150);
    expect(show.screen.take()).toBe('b');
  });

  it.each(SPEEDS)('takes its time at speed %s', async (speed) => {
    const show = words();
    show.player.setSpeed(speed);
    show.player.play();
    await show.pass(2_900 / speed);
    expect(show.state.isAtEnd).toBe(false);
    await show.pass(300 / speed + 50);
    expect(show.state.isAtEnd).toBe(true);
    expect(show.screen.take()).toBe('a|b|resize 30x9|c|d');
  });

  it('changes its speed on the way', async () => {
    const show = words();
    show.player.play();
    await show.pass(1_000);
    show.player.setSpeed(0.5);
    await show.pass(1_000);
    expect(show.state.positionMs).toBe(1_500);
  });

  it('skips idle time only where that is wanted', async () => {
    const tape: Tape = [
      [
        [0, 'o', 'a'],
        [60, 'o', 'b'],
        [61, 'o', 'c'],
      ],
    ];
    const show = shown(...tape);
    show.player.play();
    await show.pass(1_000);
    expect(show.screen.take()).toBe('a|b');
    show.player.setSkipsIdle(false);
    await show.pass(1_500);
    expect(show.screen.take()).toBe('c');

    const patient = shown(...tape);
    patient.player.setSkipsIdle(false);
    patient.player.play();
    await patient.pass(59_000);
    expect(patient.screen.take()).toBe('a');
    await patient.pass(1_100);
    expect(patient.screen.take()).toBe('b');
  });

  it('goes a little forward by playing, and elsewhere by a screen', async () => {
    const show = shown(
      [
        [1, 'o', 'a'],
        [2, 'o', 'b'],
      ],
      [[3, 'o', 'c']],
      [[4, 'o', 'd']],
      [
        [5, 'o', 'e'],
        [6, 'o', 'f'],
      ],
    );
    await show.player.seek(2_500);
    expect(show.screen.take()).toBe('ab');
    expect(show.jumps).toEqual([]);
    await show.player.seek(5_500);
    expect(show.screen.take()).toBe('reset 20x4|screen@5500');
    expect(show.state).toMatchObject({ isPlaying: false, positionMs: 5_500 });
    await show.player.seek(1_500);
    expect(show.screen.take()).toBe('reset 20x4|screen@1500');
    show.player.play();
    await show.pass(1_000);
    expect(show.screen.take()).toBe('b');
    expect(show.jumps).toEqual([5_500, 1_500]);
  });

  it('obeys the last of several jumps', async () => {
    const show = shown([[1, 'o', 'a']], [[2, 'o', 'b']], [[3, 'o', 'c']], [[4, 'o', 'd']]);
    void show.player.seek(3_500);
    void show.player.seek(4_000);
    await show.player.seek(3_000);
    await settle();
    expect(show.state.positionMs).toBe(3_000);
    expect(show.screen.take()).toBe('reset 20x4|screen@3000');
  });

  it('begins anew when it is played after its end', async () => {
    const show = shown([[0.1, 'o', 'a']]);
    show.player.play();
    await show.pass(500);
    show.screen.take();
    show.player.toggle();
    await show.pass(50);
    expect(show.screen.take()).toBe('reset 20x4|screen@0');
    await show.pass(200);
    expect(show.screen.take()).toBe('a');
  });

  it('stops with an error that another try may mend, and goes on when it does', async () => {
    const show = shown([[0, 'o', 'a']], [[1, 'o', 'b']], [[2, 'o', 'c']], [[3, 'o', 'd']]);
    show.isOffline = true;
    show.player.play();
    await show.pass(100);
    expect(show.state.error?.slug).toBe('network');
    show.isOffline = false;
    show.player.toggle();
    await show.pass(1_200);
    expect(show.screen.take()).toBe('a|b');
    show.isOffline = true;
    await show.player.seek(0);
    expect(show.state.error?.slug).toBe('network');
    show.isOffline = false;
    show.player.play();
    await show.pass(200);
    expect(show.screen.take()).toBe('reset 20x4|screen@0');
  });

  it('shows what is left of a damaged recording, and says what is missing', async () => {
    const show = shown([[0, 'o', 'a']], null, [[2, 'o', 'c']]);
    show.player.play();
    await show.pass(2_500);
    expect(show.screen.take()).toBe('a|c');
    expect(show.missing).toEqual(['recording_damaged.']);
    expect(show.state.error).toBeNull();
  });

  it('goes on when the recording has grown', async () => {
    const show = shown([[1, 'o', 'a']]);
    show.player.play();
    await show.pass(1_500);
    expect(show.state.isAtEnd).toBe(true);
    show.tape.push([[1.5, 'o', 'b']]);
    const segments = segmentsOf(show.tape);
    show.player.extend({ durationMs: 1_500, segments });
    await show.pass(300);
    expect(show.screen.take()).toBe('a');
    await show.pass(300);
    expect(show.screen.take()).toBe('b');
  });

  it('keeps few segments and asks for the next one early', async () => {
    const show = new Show(Array.from({ length: 20 }, (_, index) => [[index, 'o', String(index)]] as const));
    show.player.setSpeed(16);
    show.player.play();
    await show.pass(2_000);
    expect(show.loads).toEqual(Array.from({ length: 20 }, (_, index) => index));
    await show.player.seek(1_000);
    expect(show.loads.slice(20)).toEqual([2]);
  });
});

describe('marks', () => {
  const marks = [0, 2_000, 2_000, 9_000].map((atMs, index) => ({ atMs, label: String(index) }));

  it('are jumped between', () => {
    expect(nextMark(marks, 0)?.atMs).toBe(2_000);
    expect(nextMark(marks, 9_000)).toBeNull();
    expect(previousMark(marks, 9_500)?.atMs).toBe(2_000);
    expect(previousMark(marks, 2_000)?.atMs).toBe(0);
    expect(previousMark(marks.slice(1), 0)).toBeNull();
    expect(currentMark(marks, 8_999)).toBe(2);
    expect(currentMark([], 5)).toBe(-1);
  });

  it('stand where they belong, without covering each other', () => {
    expect(percent(2_500, 10_000)).toBe(25);
    expect(percent(5, 0)).toBe(0);
    expect(percent(99, 10)).toBe(100);
    expect(thinned(marks, 10_000, 100).map(({ label }) => label)).toEqual(['0', '1', '3']);
    const many = Array.from({ length: 100_000 }, (_, atMs) => ({ atMs, label: '' }));
    expect(thinned(many, 100_000, 200).length).toBeLessThanOrEqual(201);
  });

  it.each([
    [0, '0:00'],
    [-5, '0:00'],
    [65_999, '1:05'],
    [3_600_000, '1:00:00'],
    [36_061_000, '10:01:01'],
  ])('at %i ms read %s', (milliseconds, text) => {
    expect(formatTime(milliseconds)).toBe(text);
  });

  it('show control characters', () => {
    expect(visibleText('a\x1b[2J\nb\x7f\t')).toBe('a␛[2J⏎ b␡␉');
  });
});

describe('keys', () => {
  const press = (key: string, focus: 'text' | 'button' | 'slider' | 'none' = 'none', shift = false) =>
    keyAction({ key, shift, modified: false, focus });

  it('do what people expect of a player', () => {
    expect(press(' ')).toEqual({ kind: 'toggle' });
    expect(press('ArrowRight')).toEqual({ kind: 'skip', byMs: 5_000 });
    expect(press('ArrowLeft', 'none', true)).toEqual({ kind: 'command', direction: 'previous' });
    expect(press('n')).toEqual({ kind: 'hit', direction: 'next' });
    expect(press('x')).toBeNull();
  });

  it('are left to what has the focus', () => {
    expect(press(' ', 'button')).toBeNull();
    expect(press('n', 'text')).toBeNull();
    expect(keyAction({ key: 'ArrowLeft', shift: false, modified: true, focus: 'none' })).toBeNull();
  });

  it('change the speed within its scale', () => {
    expect(changedSpeed(1, 'faster')).toBe(2);
    expect(changedSpeed(16, 'faster')).toBe(16);
    expect(changedSpeed(0.5, 'slower')).toBe(0.5);
  });
});

describe('the API of recordings', () => {
  const recording = {
    state: 'complete',
    columns: 80,
    rows: 24,
    duration_ms: 5,
    bytes: 1,
    markers: [],
    segments: [],
    message: null,
  };
  const problem = (slug: string, status: number) =>
    Response.json({ type: `urn:podlatch:problem:${slug}`, detail: 'A sentence.' }, { status });

  function api(...answers: Response[]) {
    const asked: { url: string; method: string; token: string | null }[] = [];
    const fetcher: typeof fetch = (input, init) => {
      const headers = new Headers(init?.headers);
      const url = input instanceof Request ? input.url : input.toString();
      asked.push({ url, method: init?.method ?? '', token: headers.get('podlatch-replay') });
      const answer = answers.shift();
      return answer === undefined ? Promise.reject(new TypeError('offline')) : Promise.resolve(answer);
    };
    return { api: new ReplayApi('s/1', fetcher), asked };
  }

  it('sends the token in a header, never in an address', async () => {
    const { api: replays, asked } = api(Response.json({ token: 'plr_x', recording }), new Response('[0,"o","a"]'));
    expect(await replays.open()).toEqual({ ok: true, value: recording });
    expect(await replays.segment(3)).toEqual({ ok: true, value: '[0,"o","a"]' });
    expect(asked).toEqual([
      { url: '/api/v1/sessions/s%2F1/replays', method: 'POST', token: null },
      { url: '/api/v1/sessions/s%2F1/recording/segments/3', method: 'GET', token: 'plr_x' },
    ]);
  });

  it('opens the replay again when its token has run out', async () => {
    const { api: replays, asked } = api(
      Response.json({ token: 'old', recording }),
      problem('replay_over', 403),
      Response.json({ token: 'new', recording }),
      Response.json({ hits: [], truncated: false }),
    );
    await replays.open();
    const found = await replays.search('a&b', new AbortController().signal);
    expect(found).toEqual({ ok: true, value: { hits: [], truncated: false } });
    expect(asked.at(-1)).toMatchObject({ url: expect.stringContaining('q=a%26b') as string, token: 'new' });
  });

  it('turns every failure into a sentence', async () => {
    const { api: replays } = api(problem('recording_gone', 410));
    expect(await replays.open()).toEqual({
      ok: false,
      error: { slug: 'recording_gone', status: 410, sentence: 'A sentence.' },
    });
    expect((await replays.recording()).ok).toBe(false);
  });
});

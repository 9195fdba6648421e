import { describe, expect, it } from 'vitest';
import type { ApiResult } from '../src/lib/api';
import { openWithShell } from '../src/lib/chosen-shell';

const refusal = (slug: string): ApiResult<string> => ({ ok: false, error: { slug, status: 422, sentence: 'No.' } });

/** Opens what the container has, and says what it was asked for. */
function container(...shells: string[]) {
  const asked: (readonly string[] | null)[] = [];
  const open = (command: readonly string[] | null): Promise<ApiResult<string>> => {
    asked.push(command);
    const [shell] = command ?? ['best'];
    const has = shell === 'best' || (shell !== undefined && shells.includes(shell));
    return Promise.resolve(has ? { ok: true, value: shell } : refusal('command_not_found'));
  };
  return { asked, open };
}

describe('opening with a chosen shell', () => {
  it('asks for nothing where nothing is chosen', async () => {
    const { asked, open } = container('zsh');
    expect(await openWithShell(null, open)).toEqual({ ok: true, value: 'best' });
    expect(asked).toEqual([null]);
  });

  it('takes the chosen one where the container has it, and the best one elsewhere', async () => {
    const zsh = container('zsh');
    expect(await openWithShell('zsh', zsh.open)).toEqual({ ok: true, value: 'zsh' });
    expect(zsh.asked).toEqual([['zsh']]);
    const plain = container();
    expect(await openWithShell('zsh', plain.open)).toEqual({ ok: true, value: 'best' });
    expect(plain.asked).toEqual([['zsh'], null]);
  });

  it('does not ask again after any other refusal', async () => {
    const asked: unknown[] = [];
    const result = await openWithShell('fish', (command) => {
      asked.push(command);
      return Promise.resolve(refusal('access_denied'));
    });
    expect(result).toEqual(refusal('access_denied'));
    expect(asked).toHaveLength(1);
  });
});

import { describe, expect, it } from 'vitest';
import { mappingRows, readMapping } from '../src/lib/sign-in';

describe('the mapping of a provider’s groups', () => {
  it('is a line for each, and one to go on with, which means nothing', () => {
    const rows = mappingRows({ admins: 'g1' });
    expect(rows).toEqual([
      { value: 'admins', group: 'g1' },
      { value: '', group: '' },
    ]);
    expect(readMapping([...rows, { value: ' dev team ', group: 'g2' }])).toEqual({
      ok: true,
      mapping: { admins: 'g1', 'dev team': 'g2' },
    });
  });

  it.each([
    ['has no group', [{ value: 'admins', group: '' }], 'Choose a group for “admins”.'],
    ['has no value', [{ value: ' ', group: 'g1' }], 'Say which group at the provider is meant.'],
    [
      'is there twice',
      [
        { value: 'a', group: 'g1' },
        { value: 'a ', group: 'g2' },
      ],
      '“a” is there twice. Each can lead to one group.',
    ],
  ])('says which line %s', (_, rows, sentence) => {
    expect(readMapping(rows)).toEqual({ ok: false, sentence });
  });
});

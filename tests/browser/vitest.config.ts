import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['tests/**/*.test.ts'],
    // Each file starts a whole stack and a browser; one at a time leaves the machine room to be judged by.
    fileParallelism: false,
    testTimeout: 120_000,
    hookTimeout: 120_000,
    // Whole systems on a machine that others use too: what passes only the second time is told as a retry, and is to be mended.
    retry: 1,
    reporters: ['verbose'],
  },
});

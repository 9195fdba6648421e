import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['tests/**/*.test.ts'],
    // Each file has a whole stack and a browser of its own, and mostly waits: for cuts, for limits, for processes. Two at a time
    // take half the time on two cores, and leave each other room.
    maxWorkers: 2,
    testTimeout: 120_000,
    hookTimeout: 120_000,
    // Whole systems on a machine that others use too: what passes only the second time is told as a retry, and is to be mended.
    retry: 1,
    reporters: ['verbose'],
  },
});

import { defineConfig } from 'vitest/config';
import { REPOSITORY } from '../support/repository.ts';

/**
 * `npm run test:system`: the built server on this machine's real FUSE. One file at a time: tests count descriptors
 * and memory, and measure deadlines.
 */
export default defineConfig({
  test: {
    root: REPOSITORY,
    name: 'system',
    include: ['tests/system/*.system.ts'],
    fileParallelism: false,
    // Ten times what they take here, for a slow machine with other work.
    testTimeout: 240_000,
    hookTimeout: 240_000,
    reporters: [['verbose', { summary: false }]], // a skipped test says what it needs
  },
});

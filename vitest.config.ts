import { defineConfig } from 'vitest/config';

export default defineConfig({
  resolve: { conditions: ['usertrace-source'] },
  ssr: { resolve: { conditions: ['usertrace-source', 'node', 'import', 'module', 'default'] } },
  test: {
    include: ['packages/*/src/**/*.test.ts', 'tests/*/*.test.ts'],
    testTimeout: 120_000, // What takes 10 s here takes that on a slow machine with other work.
  },
});

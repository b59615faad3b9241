import { defineConfig } from 'vitest/config';

export default defineConfig({
  resolve: { conditions: ['usertrace-source'] },
  ssr: { resolve: { conditions: ['usertrace-source', 'node', 'import', 'module', 'default'] } },
  test: {
    include: ['packages/*/src/**/*.test.ts', 'tests/*/*.test.ts'],
    testTimeout: 30_000,
  },
});

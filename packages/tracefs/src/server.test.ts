import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { startServer } from './server.ts';

describe('startServer()', () => {
  it('leaves nothing behind when it cannot mount', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'usertrace-server-'));
    const start = (): Promise<unknown> => startServer({ mount: join(folder, 'missing') });
    try {
      // What the first one loads once for all stays open.
      await expect(start()).rejects.toThrow(/missing/);
      const before = readdirSync('/proc/self/fd').length;
      for (let round = 0; round < 5; round++) await expect(start()).rejects.toThrow(/missing/);
      expect(readdirSync('/proc/self/fd')).toHaveLength(before);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

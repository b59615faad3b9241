/** The built command, printing to what takes nothing. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const PROGRAM = fileURLToPath(new URL('../bin/usertrace.js', import.meta.url));

/** Prints the help of a command to an open file, or to a pipe whose reader has gone before. */
async function printHelp(stdout: number | 'pipe'): Promise<{ status: number | null; stderr: string }> {
  const child = spawn(process.execPath, [PROGRAM, 'run', '--help'], { stdio: ['ignore', stdout, 'pipe'] });
  child.stdout?.destroy();
  const [stderr, [status]] = await Promise.all([text(child.stderr!), once(child, 'exit')]);
  return { status: status as number | null, stderr };
}

describe('output that cannot be written', () => {
  it('is nobody’s loss when the reader went away', async () => {
    expect(await printHelp('pipe')).toEqual({ status: 0, stderr: '' });
  });

  it('is said in one line, and fails, when there is no room', async () => {
    const full = openSync('/dev/full', 'w');
    const { status, stderr } = await printHelp(full);
    closeSync(full);
    expect(stderr).toMatch(/^usertrace: cannot write to stdout: ENOSPC.*\n$/);
    expect(status).toBe(1);
  });
});

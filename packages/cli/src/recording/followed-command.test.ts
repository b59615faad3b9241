import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { FollowedCommand } from './followed-command.ts';

describe('FollowedCommand', () => {
  it.each([
    ['exit 42', 42],
    ['kill -TERM $$', 143],
  ])('ends with what stands for the end of "%s"', async (script, exitCode) => {
    expect(await new FollowedCommand(['sh', '-c', script], {}).ended).toBe(exitCode);
  });

  it('gives the command its environment, and passes signals on', async () => {
    const command = new FollowedCommand(
      ['sh', '-c', 'trap "exit 7" USR1; kill -USR1 $PPID; while :; do sleep 0.01; done'],
      { GREETING: 'hello' },
    );
    expect(await command.ended).toBe(7);
    const greeted = new FollowedCommand(['sh', '-c', 'test "$GREETING" = hello'], { GREETING: 'hello' });
    expect(await greeted.ended).toBe(0);
  });

  it('knows its descendants from others', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'usertrace-command-'));
    const file = join(folder, 'pid');
    const command = new FollowedCommand(['sh', '-c', 'sleep 20 & echo $! > $FILE; wait'], { FILE: file });
    let grandchild = 0;
    while (grandchild === 0) {
      await new Promise((resolve) => setTimeout(resolve, 5));
      grandchild = existsSync(file) ? Number(readFileSync(file, 'utf8')) : 0;
    }
    expect(command.isDescendant(grandchild)).toBe(true);
    expect(command.isDescendant(process.pid)).toBe(false);
    expect(command.isDescendant(1)).toBe(false);
    process.kill(grandchild, 'SIGTERM');
    expect(await command.ended).toBe(0);
    rmSync(folder, { recursive: true });
  });

  it('says that there is no such program', () => {
    expect(() => new FollowedCommand(['no-such-program'], {})).toThrow(/no folder of \$PATH/);
  });
});

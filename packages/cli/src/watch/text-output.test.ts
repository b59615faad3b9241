import { describe, expect, it } from 'vitest';
import { answered, call, entered, forked, MAIN, WORKER } from './events.sim.ts';
import { LineBatch } from './line-batch.ts';
import { TextOutput } from './text-output.ts';
import type { WatchEvent } from './watch-event.ts';

function linesOf(...events: WatchEvent[]): string[] {
  let text = '';
  const lines = new LineBatch((more) => (text += more));
  const output = new TextOutput(lines);
  for (const event of events) output.take(event);
  output.end();
  lines.flush();
  return text.split('\n').slice(0, -1);
}

describe('TextOutput', () => {
  it('joins a call and its answer when nothing comes between', () => {
    const read = call(MAIN, 1_500_000);
    const failed = call(MAIN, 2_000_000, 'openat', ['AT_FDCWD', '"/none"', 'O_RDONLY']);
    expect(
      linesOf(entered(read), answered(read, 10, 7), entered(failed), answered(failed, 1, -2, 2)),
    ).toEqual([
      '1.500000 100 (main) read(3) = 7',
      '2.000000 100 (main) openat(AT_FDCWD, "/none", O_RDONLY) = -1 ENOENT (no such file or directory)',
    ]);
  });

  it('says that a call is unfinished when another task does something meanwhile', () => {
    const read = call(MAIN, 1);
    const write = call(WORKER, 5, 'write');
    expect(linesOf(entered(read), entered(write), answered(write, 1, 1), answered(read, 10, 7))).toEqual([
      '0.000001 100 (main) read(3) <unfinished ...>',
      '0.000005 100/101 (worker) write(3) = 1',
      '0.000011 100 (main) <... read resumed> = 7',
    ]);
  });

  it('shows events in the middle of a call where they happened', () => {
    const vfork = call(MAIN, 1, 'vfork', []);
    expect(linesOf(entered(vfork), forked(MAIN, 2, 102), answered(vfork, 9, 102))).toEqual([
      '0.000001 100 (main) vfork() <unfinished ...>',
      '0.000002 100 (main) fork 102',
      '0.000010 100 (main) <... vfork resumed> = 102',
    ]);
  });

  it('shows calls that never answer, are cut off by the end, or are made again', () => {
    const exit = call(MAIN, 1, 'exit_group', ['0']);
    const cut = call(WORKER, 2);
    const again = call(WORKER, 4);
    expect(
      linesOf(
        entered(exit),
        entered(cut),
        { kind: 'abandoned', task: WORKER, timeNs: 3000n, call: cut },
        entered(again),
        answered(again, 1, -512, 512),
      ),
    ).toEqual([
      '0.000001 100 (main) exit_group(0) = ?',
      '0.000002 100/101 (worker) read(3) <unfinished ...>',
      '0.000003 100/101 (worker) <... read resumed> = ?',
      '0.000004 100/101 (worker) read(3) = ? ERESTARTSYS (to be restarted)',
    ]);
  });

  it('gives no control characters of names to the terminal', () => {
    const lines = linesOf(forked({ ...MAIN, comm: 'a\u001B[2J' }, 1, 5));
    expect(lines).toEqual(['0.000001 100 (a\\x1b[2J) fork 5']);
  });

  it('shows a call that blocks before it answers', async () => {
    let text = '';
    const output = new TextOutput(new LineBatch((more) => (text += more)));
    output.take(entered(call(MAIN, 1)));
    await expect.poll(() => text).toBe('0.000001 100 (main) read(3) <unfinished ...>\n');
    output.end();
  });
});
